"""The card that a trained language-image model carries."""

from collections.abc import Mapping, Sequence
from typing import Any


def model_card(config: Any, rows: Sequence[Mapping[str, Any]], command: str) -> str:
    """Return a model card in Markdown.

    Args:
        config: the ``LanguageImageRunConfig`` of the run.
        rows: what was measured, as in ``results.json``.
        command: what trained the model.
    """
    table = [
        "| phrasing | texts | ROC AUC | by level | by word | text to image |"
        " image to text | NLL | ECE |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    names = (
        "auc", "auc_levels", "auc_words", "recall_text_to_image", "recall_image_to_text",
        "nll", "ece",
    )  # fmt: skip
    for row in rows:
        cells = " | ".join(f"{row[name]:.3f}" for name in names)
        table.append(f"| {row['phrasing'].replace('_', '-')} | {row['texts']} | {cells} |")
    weakest = [
        f"* {row['phrasing'].replace('_', '-')}: " + ", ".join(_weakest(row)) for row in rows
    ]
    return "\n".join(
        [
            "# A language-image model for goals",
            "",
            _what(config),
            "",
            f"Trained by `{command}`: {config.steps:,} steps, seed {config.seed}. The weights are"
            " rounded to float16; the numbers are of the rounded model.",
            "",
            "## Measured",
            "",
            _how(config),
            "",
            *table,
            "",
            "Weakest groups (ROC AUC):",
            "",
            *weakest,
            "",
            "## Limits",
            "",
            _limits(config),
            "",
        ]
    )


def _what(config: Any) -> str:
    what = "Scores images of goals against texts (`langrl.models.language_image.model`)."
    if config.folder is not None:
        return f"{what} Trained on the captioned images of a folder, from {config.start or 'new'}."
    if config.environments:
        worlds = ", ".join(config.environments)
        return f"{what} Trained on goals and instructions of {worlds}."
    what += (
        f" Trained on rendered rooms of the grid worlds {', '.join(config.worlds)} with exact"
        " matches: a text fits an image if the agent faces an object that it denotes."
    )
    if config.train == "words":
        what += (
            f" The image tower is that of {config.start}, unchanged; texts are embedded by"
            f" {config.words}, frozen, and a trained head. That model is not in this folder."
        )
    if config.start is None and config.words is not None and config.model.text.model == "compact":
        what += (
            f" Its frozen word table is distilled from {config.words} (Apache-2.0), with what"
            " colour a colour's name is from the xkcd survey (CC0) and CSS. Held-out synonyms are"
            " words of that table like any other; no training text has one, nor a held-out"
            " template."
        )
        if config.frequent_words:
            what += (
                " Beside that model's own words, it has the most frequent ones of SymSpell's list"
                " (MIT; counts from Google Books n-grams, CC BY 3.0; words from SCOWL)."
            )
        if config.thesaurus is not None:
            what += (
                " What kind of thing a noun names, and in part what colour, is from WordNet 3.0"
                " (copyright 2006 by Princeton University; the WordNet licence)."
            )
    return what


def _how(config: Any) -> str:
    if config.folder is not None:
        return "On images that were neither trained nor calibrated on, all against all captions."
    if config.environments:
        return "In episodes that were not trained or calibrated on, all goals against all texts."
    return (
        "In rooms that were neither trained nor calibrated on; ROC AUC among the images of one"
        " room (all poses that face an object, as many that face none), averaged within and then"
        " over groups: levels of meaning, and words (held-out: unseen synonyms). Retrieval is"
        " recall@1 in the room. Calibrated in other rooms on texts of templates and near words that"
        " were reserved for it: none of them was trained on, and none of them is held out."
    )


def _limits(config: Any) -> str:
    if config.folder is not None:
        return "Knows what its captions say; measure it on images of your own before use."
    if config.environments:
        return "Knows those worlds; measure it on others before use."
    return (
        "Knows minigrid's images in 8-pixel tiles: keys, balls, boxes and doors in six colours,"
        " what is next to what, and what is nearest a wall. Of other images and other topics it"
        " knows nothing, and its probabilities mean nothing there. English only."
    )


def _weakest(row: Mapping[str, Any]) -> list[str]:
    groups = {**row["levels"], **row["words"]}
    known = {name: value for name, value in groups.items() if value == value}
    return [f"{name} {known[name]:.3f}" for name in sorted(known, key=lambda n: known[n])[:6]]
