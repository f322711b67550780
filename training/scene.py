"""What earlier words of a document have settled: whom it is about, its topic, who has what."""

from __future__ import annotations

from dataclasses import dataclass

from people import Person


@dataclass
class Scene:
    """What a reader of the text so far knows, and what later words therefore have to agree with.

    Attributes
    ----------
    about : Person
        Whom the pronouns refer to.
    introduced : bool
        Whether `about` has been named; then somebody else of the same gender is somebody else.
    topic : str
        What the document is about.
    told : bool
        Whether a word so far tells the topic; as long as none does, later words do not go by it.
    thing : str or None
        What `about` is known to have.
    """

    about: Person
    topic: str
    introduced: bool = False
    told: bool = False
    thing: str | None = None


@dataclass
class Mood:
    """What the sentence so far asks of its ending: tense, denial, whether a time was named."""

    denies: bool = False
    future: bool = False
    timed: bool = False
