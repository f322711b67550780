"""Seeded English about people, places and things, for training the embedded model.

Each document follows one person through two to four sentences.  Pronouns refer back, things
mentioned once come back with "the", and verbs choose their objects, so that a model has to use its
context.  The words come from ``lexicon.toml`` alone; no sentence of the two corpora is ever written.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEXICON_PATH = Path(__file__).with_name("lexicon.toml")

PRONOUNS = {
    "female": ("She", "her", "her"),
    "male": ("He", "him", "his"),
    "plural": ("They", "them", "their"),
    "us": ("We", "us", "our"),
    "me": ("I", "me", "my"),
    "you": ("You", "you", "your"),
}
"""Subject, object and possessive form for each kind of referent."""


@dataclass(frozen=True)
class Person:
    """Somebody a document speaks of: how to name them, and which pronouns refer back."""

    phrase: str
    kind: str

    @property
    def subject(self) -> str:
        return PRONOUNS[self.kind][0]

    @property
    def object(self) -> str:
        return PRONOUNS[self.kind][1]

    @property
    def possessive(self) -> str:
        return PRONOUNS[self.kind][2]

    @property
    def third_person(self) -> bool:
        return self.kind in ("female", "male")

    @property
    def was(self) -> str:
        return "was" if self.third_person or self.kind == "me" else "were"


def load_lexicon(path: Path = LEXICON_PATH) -> dict[str, Any]:
    """Read the closed vocabulary."""
    with path.open("rb") as file:
        return tomllib.load(file)


def inside(phrase: str) -> str:
    """Return `phrase` as it stands inside a sentence: names and "I" keep their capital."""
    first, _, rest = phrase.partition(" ")
    if first in _LOWERED:
        first = first.lower()
    return f"{first} {rest}" if rest else first


_LOWERED = frozenset(
    "The My Our Your His Their A That This One Every Two Some Few Both Most Those Students Doctors Children "
    "Police People Everyone Nobody Someone She He They We You No None All Please Never Always Who Nothing".split()
)


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
        self.people = lexicon["people"]
        self.scenes = lexicon["scenes"]
        self.give = list(lexicon["give"].values())
        self.meet = list(lexicon["meet"].values())
        self.own = list(lexicon["own"].values())
        self.random = random.Random(seed)

    # -- people ---------------------------------------------------------------------------------

    def named(self, kind: str) -> Person:
        """Somebody with a name, of the given gender."""
        return Person(self.random.choice(self.people[f"{kind}_names"]), kind)

    def protagonist(self) -> Person:
        """The one a document is about: named or described, gender plain from the phrase."""
        if self.random.random() < 0.12:
            kind = self.random.choice(("plural", "us", "me", "you"))
            return Person(PRONOUNS[kind][0], kind)
        kind = self.random.choice(("female", "male"))
        draw = self.random.random()
        if draw < 0.6:
            return self.named(kind)
        if draw < 0.66:
            return Person(self.random.choice(self.people[f"{kind}_titles"]), kind)
        noun = self.random.choice(self.people[f"{kind}_nouns"])
        if self.random.random() < 0.3:
            noun = f"{self.random.choice(self.people['role_adjectives'])} {noun}"
        return Person(f"{self.random.choice(self.people['determiners'])} {noun}", kind)

    def other(self) -> Person:
        """Anybody who can be the subject of a sentence about the protagonist."""
        choose, people = self.random.choice, self.people
        draw = self.random.random()
        if draw < 0.30:
            return self.named(choose(("female", "male")))
        if draw < 0.45:
            kind = choose(("female", "male", "plural", "us", "me", "you"))
            return Person(PRONOUNS[kind][0], kind)
        if draw < 0.62:
            noun = choose(people["roles"] + people["female_nouns"] + people["male_nouns"])
            if self.random.random() < 0.3:
                noun = f"{choose(people['role_adjectives'])} {noun}"
            if self.random.random() < 0.2:
                noun = f"{noun} {choose(people['origins'])}"
            kind = "female" if noun in people["female_nouns"] else "male"
            return Person(f"{choose(people['determiners'])} {noun}", kind)
        if draw < 0.78:
            if self.random.random() < 0.3:
                return Person(choose(people["plural_starts"]), "plural")
            noun = choose(people["plural_nouns"])
            if self.random.random() < 0.2:
                noun = f"{noun} {choose(people['origins'])}"
            return Person(f"{choose(people['plural_determiners'])} {noun}", "plural")
        if draw < 0.86:
            return Person(choose(people["anyone"]), "male")
        if draw < 0.90:
            return Person(f"The {choose(('', 'whole '))}{choose(people['groups'])}", "male")
        return Person(choose(_CROWDS), "plural")

    # -- clauses --------------------------------------------------------------------------------

    def verb(self, entry: list[Any], subject: Person) -> str:
        """Inflect a verb: mostly the past, sometimes with an auxiliary or an adverb before it."""
        base, past, participle, present = entry[:4]
        draw = self.random.random()
        if draw < 0.66:
            return past
        if draw < 0.78:
            return f"{self.random.choice(('never', 'often', 'always', 'rarely', 'once', 'all', 'ever'))} {past}"
        if draw < 0.84:
            return f"{self.random.choice(('will', 'would', 'will not', 'did not', 'could', 'would not'))} {base}"
        if draw < 0.88:
            return f"{'has' if subject.third_person else 'have'} {participle}"
        if draw < 0.92:
            return f"{self.random.choice(('had', 'could have', 'would have'))} {participle}"
        if draw < 0.96:
            return f"wanted to {base}"
        return present if subject.third_person else base

    def clause(self, subject: Person, about: Person) -> str:
        """A clause in which `subject` does something that concerns `about`."""
        draw = self.random.random()
        if draw < 0.36:
            entry = self.random.choice(self.give)
            tail = f"{about.object} {self.random.choice(entry[4])}"
        elif draw < 0.74:
            entry = self.random.choice(self.meet)
            tail = f"{about.object} {self.random.choice(entry[4])}"
            if self.random.random() < 0.25:
                tail = about.object
        else:
            entry = self.random.choice(self.own)
            tail = f"{about.possessive} {self.random.choice(entry[4])}"
        text = f"{subject.phrase} {self.verb(entry, subject)} {tail}"
        return self.adjunct(text)

    def own_clause(self, about: Person, *, by_name: bool) -> str:
        """A clause in which the protagonist does something with a thing of their own."""
        entry = self.random.choice(self.own)
        subject = about.phrase if by_name else about.subject
        return self.adjunct(
            f"{subject} {self.verb(entry, about)} {about.possessive} {self.random.choice(entry[4])}"
        )

    def adjunct(self, text: str) -> str:
        """Maybe add a place or a time."""
        if self.random.random() < 0.22:
            return f"{text} {self.random.choice(self.scenes['places'] + self.scenes['times'])}"
        return text

    # -- sentences ------------------------------------------------------------------------------

    def introduction(self, about: Person) -> str:
        """A first sentence that names the protagonist."""
        place, time = self.random.choice(self.scenes["places"]), self.random.choice(self.scenes["times"])
        draw = self.random.random()
        if draw < 0.4:
            return self.own_clause(about, by_name=True)
        if draw < 0.6:
            return f"{about.phrase} {about.was} {self.random.choice(self.scenes['states'])} {place}"
        if draw < 0.8:
            return f"{about.phrase} came home {time}"
        known = inside(about.phrase) if about.third_person else about.object
        return f"{self.other_than(about).phrase} {self.random.choice(self.meet)[1]} {known} {place}"

    def other_than(self, about: Person) -> Person:
        """Somebody else than the protagonist."""
        while (somebody := self.other()).phrase == about.phrase:
            pass
        return somebody

    def development(self, about: Person) -> str:
        """A sentence in which the protagonist is a pronoun."""
        draw = self.random.random()
        if draw < 0.12:
            return self.own_clause(about, by_name=False)
        if draw < 0.17:
            return f"{about.subject} {about.was} {self.random.choice(self.scenes['states'])}"
        if draw < 0.22:
            return self.command(about)
        if draw < 0.27:
            cause, verb = self.random.choice(self.scenes["causes"]), self.random.choice(_MOVES)
            cause = cause[0].upper() + cause[1:]
            return self.adjunct(f"{cause} {verb} {about.object}")
        if draw < 0.30:
            cause, verb = self.random.choice(self.scenes["causes"]), self.random.choice(_MOVES)
            return f"It was {cause} that {verb} {about.object}"
        clause = self.clause(self.other_than(about), about)
        if draw < 0.42:
            return f"{self.random.choice(self.scenes['openings'])} {inside(clause)}"
        if draw < 0.48:
            return f"{self.random.choice(_REPORTS)} {inside(clause)}"
        return clause

    def command(self, about: Person) -> str:
        """An imperative or a question."""
        start = self.random.choice(("Please", "Never", "Always", "Who", "Nothing", "No one in town", "None of the guests"))
        entry = self.random.choice(self.give if self.random.random() < 0.5 else self.meet)
        verb = entry[0] if start in ("Please", "Never", "Always") else entry[1]
        return f"{start} {verb} {about.object} {self.random.choice(entry[4])}"

    def document(self) -> str:
        """Write one document of one to four sentences."""
        about = self.protagonist()
        draw = self.random.random()
        # Half of the documents begin in the middle of things: a pronoun without antecedent.
        sentences = [self.introduction(about)] if draw < 0.5 else []
        for _ in range(self.random.choice((1, 2, 2, 3))):
            sentences.append(self.development(about))
        if self.random.random() < 0.2:
            sentences.append(self.own_clause(about, by_name=self.random.random() < 0.5))
        return " ".join(s + ("?" if s.startswith("Who ") else ".") for s in sentences)


_CROWDS = (
    "None of the guests", "Most of them", "All of us", "All of them", "No one in town", "My friends and I",
    "My aunt and uncle", "Some of the girls", "Both of them", "His words", "Two of the men",
)  # fmt: skip
_MOVES = ("moved", "scared", "hurt", "bothered", "surprised", "changed", "saved", "caught", "made", "stopped")
_REPORTS = (
    "She said", "He said", "I knew that", "They said that", "We knew", "When it was late", "When he came",
    "I told them that", "Nobody knew that", "You said", "When they came", "I saw that",
)  # fmt: skip


def documents(*, seed: int, forbidden: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield documents for ever.

    Parameters
    ----------
    seed : int
        Seed of the random source.
    forbidden : frozenset of str
        Sentences that must not occur; a document that holds one is thrown away.
    """
    writer = Writer(load_lexicon(), seed=seed)
    while True:
        text = writer.document()
        if not sentences_of(text) & forbidden:
            yield text


def sentences_of(text: str) -> set[str]:
    """Return the sentences of a document, each with its final mark."""
    return {s.strip() for s in text.replace("?", "?\n").replace(".", ".\n").split("\n") if s.strip()}
