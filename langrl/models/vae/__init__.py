from langrl.renamed.aliases import names_of

__getattr__ = names_of(__name__)
