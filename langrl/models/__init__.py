from langrl.training.forks import use_one_thread_after_fork

use_one_thread_after_fork()  # the environments of an AsyncVectorEnv may hold models
