"""The most frequent English words, by their counts in books, from the list that symspellpy carries.

Source: Google Books n-grams (CC BY 3.0), kept where SCOWL has the word too, as in SymSpell (MIT).
"""

from importlib import resources

from langrl.errors import MissingExtraError

_FILE = "frequency_dictionary_en_82_765.txt"


def frequent_words(count: int) -> list[str]:
    """Return the most frequent words, lower-case, without apostrophes; fewer if there are fewer.

    Raises:
        MissingExtraError: if symspellpy is not installed.
    """
    try:
        text = resources.files("symspellpy").joinpath(_FILE).read_text(encoding="utf-8-sig")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "frequent_words needs symspellpy's list of words; pip install 'langrl[offline]' or set"
            " it to 0"
        ) from error
    counts = {word: int(number) for word, number in map(str.split, text.splitlines())}
    words = [word for word in counts if word.isascii() and word.isalpha()]
    return sorted(words, key=lambda word: -counts[word])[:count]
