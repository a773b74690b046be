"""The config of pre-training a language-image model; no torch here."""

from typing import Literal, Self

from pydantic import Field, model_validator

from langrl.models.config import LanguageImageConfig
from langrl.settings import EnvironmentId, Reference, Settings
from langrl.tasks.config import RunConfig
from langrl.tasks.grid.config import check_worlds


class TextsConfig(Settings):
    """How training texts about grid worlds vary; the rates are chances."""

    paraphrases: float = Field(0.6, ge=0, le=1, description="texts from the further templates")
    composed: float = Field(
        0.0,
        ge=0,
        le=1,
        description="texts of several things, included and excluded, composed from clauses",
    )
    near_words: float = Field(
        0.45, ge=0, le=1, description="colours and types replaced by near words"
    )
    typos: float = Field(0.1, ge=0, le=1, description="colours and types that are misspelt")
    idle_words: float = Field(0.15, ge=0, le=1, description="texts with words that say nothing")
    asides: float = Field(0.0, ge=0, le=1, description="texts with a remark about something else")
    lost_words: float = Field(0.0, ge=0, le=1, description="words that are lost, any of them")
    plain_until: float = Field(
        0.08, ge=0, le=1, description="share of the steps in which texts are simple and as seen"
    )


class LanguageImageRunConfig(RunConfig):
    """Everything that decides a pre-training run's bits, with the versions."""

    refers = {
        "folder": Reference("data"),
        "start": Reference("start", ("bundled",)),
        "words": Reference("start"),
        "thesaurus": Reference("start"),
    }
    earlier_names = {"picture_size": "image_size", "pictures_per_room": "images_per_room"}

    task: Literal["language-image"] = Field("language-image", description="the task family")
    worlds: tuple[str, ...] = Field(
        ("goto", "crowded", "rooms", "relations"),
        min_length=1,
        description="grid worlds whose images are used",
    )
    environments: tuple[EnvironmentId, ...] = Field(
        (), description="Gymnasium ids of worlds that draw their goals, instead of grid worlds"
    )
    folder: str | None = Field(
        None, description="images with captions.jsonl or captions.csv, instead of grid worlds"
    )
    image_size: int = Field(
        64, ge=8, le=1024, description="folder: pixels a side of the square that frames images"
    )
    held_out: float = Field(
        0.2, gt=0, lt=0.9, description="folder: share of the images kept to calibrate and measure"
    )
    model: LanguageImageConfig = Field(LanguageImageConfig(), description="sizes of a new model")
    start: str | None = Field(
        None, description="model to fine-tune: 'bundled', a folder or a hub name; new if not given"
    )
    train: Literal["all", "heads", "words"] = Field(
        "all",
        description="start: all weights; linear heads on a frozen SentenceTransformer; or a head on"
        " the text model that words names, as a new text tower beside the image tower, which stays",
    )
    words: str | None = Field(
        "all-MiniLM-L6-v2",
        min_length=1,
        description="new model: whose knowledge of words is distilled; train words: the text model"
        " itself, a SentenceTransformer's name or folder",
    )
    table_width: int = Field(
        80, ge=1, le=1024, description="new model: numbers of a word that are distilled"
    )
    word_limit: int | None = Field(
        None, ge=1, description="new model: words that are distilled, the first ones; all if unset"
    )
    frequent_words: int = Field(
        0, ge=0, description="new model: frequent English words distilled beside the model's own"
    )
    coined_words: int = Field(
        0,
        ge=0,
        le=1000,
        description="new model: words that nobody uses for each colour and kind, from which it"
        " learns to trust what is known of words",
    )
    thesaurus: str | None = Field(
        None,
        min_length=1,
        description="new model: folder of WordNet's files, such as /usr/share/wordnet, which say"
        " what kind of thing a noun names; none if not given",
    )
    texts: TextsConfig = TextsConfig()
    rooms_per_batch: int = Field(16, ge=1, le=4096, description="worlds: rooms in a batch")
    images_per_room: int = Field(16, ge=2, le=4096, description="worlds: poses of each room")
    texts_per_room: int = Field(8, ge=1, le=4096, description="worlds: texts about each room")
    pairs_per_batch: int = Field(64, ge=2, le=100_000, description="folder: captioned images")
    steps: int = Field(1500, ge=1, le=100_000_000, description="gradient steps")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="AdamW's highest")
    logistic_weight: float = Field(
        0.1, ge=0, description="weight of the logistic loss beside symmetric InfoNCE"
    )
    label_weight: float = Field(
        0.0, ge=0, description="worlds: weight of naming what images show and texts mean"
    )
    evaluation_rooms: int = Field(60, ge=2, le=100_000, description="rooms of each world measured")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of weights, rooms, texts and batches")
    workers: int = Field(
        0, ge=0, le=64, description="processes that draw batches ahead; no bit depends on them"
    )

    @property
    def last_step(self) -> int:
        """How many steps the run trains for."""
        return self.steps

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_worlds(self.worlds)
        if self.folder is not None and self.environments:
            raise ValueError("images come from a folder or from environments; set one of them")
        if self.frequent_words and self.words is None:
            raise ValueError("frequent_words are distilled from words; set words, or it to 0")
        for name in ("thesaurus", "coined_words"):
            if getattr(self, name) and (self.words is None or self.start is not None):
                raise ValueError(
                    f"{name} joins the words of a new model; set words and no start, or leave it"
                    " out"
                )
        if self.label_weight and (self.folder is not None or self.environments):
            raise ValueError("label_weight needs grid worlds, whose labels are known; set it to 0")
        if self.train == "heads" and self.start is None:
            raise ValueError("train: heads needs a SentenceTransformer to start from; set start")
        if self.train == "words" and (self.start is None or self.words in (None, "compact")):
            raise ValueError(
                "train: words puts a text model beside an image tower; set start, such as"
                " 'bundled', and words, such as all-MiniLM-L6-v2"
            )
        return self
