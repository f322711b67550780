"""Seeded English about people, places and things, for training the embedded model (second edition).

A document has somebody it is about and a topic.  Pronouns refer back over other people; whether " her" is
somebody or somebody's, and what comes behind it, hangs on who acts, on what was said earlier, on denial,
tense and topic.  The words come from ``lexicon.toml`` and the sentence patterns here and in ``clauses.py``
alone; no sentence of the three corpora is ever written.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clauses import Clauses
from people import VOWELS, Cast, Person
from scene import Mood, Scene

LEXICON_PATH = Path(__file__).with_name("lexicon.toml")


def load_lexicon(path: Path = LEXICON_PATH) -> dict[str, Any]:
    """Read the closed vocabulary."""
    with path.open("rb") as file:
        return tomllib.load(file)


class Writer:
    """Writes documents from a lexicon and a seeded random source.

    Parameters
    ----------
    lexicon : dict
        As `load_lexicon` returns it.
    seed : int
        Seed of the random source; the same seed gives the same documents.
    """

    def __init__(self, lexicon: dict[str, Any], *, seed: int) -> None:
        self.random = random.Random(seed)
        self.scenes = lexicon["scenes"]
        self.topics = lexicon["topics"]
        self.cast = Cast(lexicon, self.random)
        self.clauses = Clauses(lexicon, self.cast, self.random)
        self.chance = self.cast.chance
        self.choice = self.random.choice

    def scene(self, about: Person) -> Scene:
        """A scene in which nothing has been told."""
        return Scene(about, self.choice(list(self.topics)))

    # -- sentences ------------------------------------------------------------------------------

    def introduction(self, scene: Scene) -> str:
        """A first sentence that names the person spoken of."""
        about = scene.about
        scene.introduced = True
        draw = self.random.random()
        if draw < 0.3:
            return self.clauses.plain(about, scene, Mood())
        if draw < 0.5:
            scene.told = True
            return f"{about.phrase} {about.was} {self.choice(self.scenes['states'])} {self.choice(self.topics[scene.topic]['places'])}"
        if draw < 0.65:
            return f"{about.phrase} came {self.choice(('home', 'back', 'to town', 'to church'))} {self.choice(self.scenes['past_times'])}"
        known = self.cast.inside(about.phrase) if about.third_person else about.object
        entry = self.choice(self.clauses.acts)
        subject = self.clauses.subject(scene)
        mood = Mood()
        text = f"{subject.phrase} {self.clauses.phrases.verb(entry, subject, mood)} {known}"
        return self.clauses.phrases.followed(text, self.clauses.phrases.ending(entry, subject, scene, mood))

    def development(self, scene: Scene) -> str:
        """A sentence in which that person is a pronoun."""
        draw = self.random.random()
        if draw < 0.08:
            return self.clauses.caused(scene)
        if draw < 0.18:
            return self.clauses.command(scene)
        if draw < 0.26:
            return self.clauses.rare(scene)
        if draw < 0.35:
            return self.clauses.copula(scene)
        if draw < 0.37:
            return f"{scene.about.subject} {scene.about.was} {self.choice(self.scenes['states'])}"
        return self.opened(scene)

    def opened(self, scene: Scene) -> str:
        """A clause, sometimes with a place, a time or a report before it."""
        draw, mood = self.random.random(), Mood()
        if draw < 0.14:
            scene.told = mood.timed = True
            start = self.choice(self.topics[scene.topic]["openings"])
        elif draw < 0.24:
            mood.timed = True
            start = self.choice(self.scenes["openings"])
        elif draw < 0.29:
            start = self.choice(self.scenes["reports"])
        else:
            start = ""
        subject = Person(scene.about.subject, scene.about.kind) if self.chance(0.1) else self.clauses.subject(scene)
        if start:
            subject = Person(self.cast.inside(subject.phrase), subject.kind, subject.topic)
        draw = self.random.random()
        if draw < 0.66:
            clause = self.clauses.plain(subject, scene, mood)
        elif draw < 0.86:
            clause = self.clauses.preposition(subject, scene, mood)
        else:
            clause = self.clauses.conjunction(subject, scene, mood)
        return f"{start} {clause}" if start else clause

    # -- documents -----------------------------------------------------------------------------------

    def story(self) -> list[str]:
        """One person over one to four sentences; half begin in the middle of things, without a name."""
        scene = self.scene(self.cast.protagonist())
        sentences = [self.introduction(scene)] if self.chance(0.42) else []
        return sentences + [self.development(scene) for _ in range(self.choice((1, 1, 2, 2, 3)))]

    def belongings(self) -> list[str]:
        """Two people have something each, and what is theirs comes back."""
        first, second = self.clauses.pair()
        scene = self.scene(first)
        things = self.random.sample(self.scenes["keepsakes"], 2)
        had = [f"{p.phrase if n == 0 else self.cast.inside(p.phrase)} {self.choice(('had', 'bought', 'found', 'had', 'has'))} {_a(t)}"
               for n, (p, t) in enumerate(zip((first, second), things, strict=True))]
        sentences = [f"{had[0]} and {had[1]}"] if self.chance(0.5) else [had[0], had[1][0].upper() + had[1][1:]]
        for _ in range(self.choice((1, 2, 2))):
            sentences.append(self.of_theirs(*self.choice(((first, things[0]), (second, things[1]))), scene.topic))
        return sentences

    def of_theirs(self, about: Person, thing: str, topic: str) -> str:
        """Somebody does something with what `about` is known to have."""
        scene = Scene(about, topic, introduced=True, thing=thing)
        subject, mood = self.clauses.subject(scene), Mood()
        entry = self.choice(self.clauses.both + self.clauses.own)
        return f"{subject.phrase} {self.clauses.phrases.verb(entry, subject, mood)} {about.possessive} {thing}"

    def two(self) -> list[str]:
        """Two people of different gender: the subject tells whom the pronoun refers to."""
        first, second = self.clauses.pair()
        scene = self.scene(first)
        sentences = [self.clauses.meeting(first, second)]
        for _ in range(self.choice((1, 2, 2))):
            actor, other = (first, second) if self.chance(0.5) else (second, first)
            named = actor.phrase if self.chance(0.3) else actor.subject
            sentences.append(self.clauses.reading(actor, other, scene, Person(named, actor.kind)))
        return sentences

    def nested(self) -> list[str]:
        """Sentences with a clause inside, or two clauses joined."""
        scene = self.scene(self.cast.protagonist())
        kinds = (self.clauses.coordinated, self.clauses.subordinate, self.clauses.relative)
        return [self.choice(kinds)(scene) for _ in range(self.choice((1, 2)))]

    def document(self) -> str:
        """Write one document of one to four sentences."""
        draw = self.random.random()
        if draw < 0.60:
            sentences = self.story()
        elif draw < 0.72:
            sentences = self.belongings()
        elif draw < 0.82:
            sentences = self.two()
        else:
            sentences = self.nested()
        return " ".join(_finished(sentence) for sentence in sentences)


def _a(noun: str) -> str:
    return f"{'an' if noun.startswith(VOWELS) else 'a'} {noun}"


def _finished(sentence: str) -> str:
    sentence = sentence[0].upper() + sentence[1:]
    return sentence if sentence.endswith("?") else f"{sentence}."


def documents(*, seed: int, forbidden: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield documents for ever.

    Parameters
    ----------
    seed : int
        Seed of the random source.
    forbidden : frozenset of str
        Sentences that must not occur, in capitals or not, nor as the end of a longer sentence; a document
        that holds one is thrown away.
    """
    writer = Writer(load_lexicon(), seed=seed)
    lowered = [sentence.lower() for sentence in forbidden]
    while True:
        text = writer.document()
        if not holds_any(text.lower(), lowered):
            yield text


def holds_any(text: str, sentences: list[str]) -> bool:
    """Whether one of the sentences, given in small letters, stands in a text in small letters."""
    return any(sentence in text for sentence in sentences)
