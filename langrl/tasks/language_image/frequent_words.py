"""The most frequent English words, by their counts in books, from the list that symspellpy carries.

Source: Google Books n-grams (CC BY 3.0), kept where SCOWL has the word too, as in SymSpell (MIT).
"""

from importlib import resources

from langrl.errors import ConfigError, MissingExtraError

_FILE = "frequency_dictionary_en_82_765.txt"


def frequent_words(count: int) -> list[str]:
    """Return the most frequent words, lower-case, without apostrophes; fewer if there are fewer.

    Raises:
        MissingExtraError: if symspellpy is not installed.
        ConfigError: if its list is damaged.
    """
    try:
        text = resources.files("symspellpy").joinpath(_FILE).read_text(encoding="utf-8-sig")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "frequent_words needs symspellpy's list of words; pip install 'langrl[offline]' or set"
            " it to 0"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(_damaged(f"it is not UTF-8 ({error.reason})")) from error
    try:
        counts = {word: int(number) for word, number in map(str.split, text.splitlines())}
    except ValueError as error:
        raise ConfigError(_damaged("a line is not a word and its count")) from error
    words = [word for word in counts if word.isascii() and word.isalpha()]
    if not words:
        raise ConfigError(_damaged("it has no words"))
    return sorted(words, key=lambda word: -counts[word])[:count]


def _damaged(why: str) -> str:
    return f"frequent_words: symspellpy's {_FILE} is damaged: {why}; reinstall symspellpy"
