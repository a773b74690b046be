import pytest
import torch

from langrl.errors import ConfigError
from langrl.training.run_folder import use_device


@pytest.fixture
def machine(monkeypatch):
    """Make a machine with some GPUs of NVIDIA, and with Apple's or without."""

    def make(cuda, mps):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return make


@pytest.mark.parametrize(
    ("cuda", "mps", "device"),
    [
        (0, False, "cpu"),
        (1, False, "cuda"),
        (2, False, "cuda:1"),
        (0, True, "mps"),
        (2, True, "cpu"),
    ],
)
def test_a_device_of_this_machine_is_taken(machine, cuda, mps, device):
    machine(cuda, mps)
    use_device(device, 1)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("cuda", "mps", "device", "repair"),
    [
        (0, False, "cuda", "use cpu"),
        (0, False, "cuda:7", "use cpu"),
        (2, False, "cuda:7", "use cpu or cuda:0 or cuda:1"),
        (1, False, "mps", "use cpu or cuda:0"),
        (0, True, "cuda:0", "use cpu or mps"),
    ],
)
def test_a_device_of_another_machine_is_refused_by_name(machine, cuda, mps, device, repair):
    machine(cuda, mps)
    with pytest.raises(ConfigError, match=f"device '{device}' is not available here; {repair}$"):
        use_device(device, 1)
