"""Who the generated English speaks of: people, groups and things, their pronouns and their number."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

PRONOUNS = {
    "female": ("She", "her", "her"),
    "male": ("He", "him", "his"),
    "plural": ("They", "them", "their"),
    "anyone": ("They", "them", "their"),
    "group": ("It", "it", "its"),
    "thing": ("It", "it", "its"),
    "us": ("We", "us", "our"),
    "me": ("I", "me", "my"),
    "you": ("You", "you", "your"),
}
"""Subject, object and possessive form for each kind of referent."""

SINGULAR = frozenset(("female", "male", "anyone", "group", "thing"))
VOWELS = ("a", "e", "i", "o", "u", "honest")
DENYING = ("Nobody", "None", "Few", "No")


@dataclass(frozen=True)
class Person:
    """Somebody a sentence speaks of: how to name them, and which pronouns refer back.

    `topic` is what their role tells about the sentence (a doctor: health), None where it tells nothing.
    """

    phrase: str
    kind: str
    topic: str | None = None

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
        """Whether a verb in the present takes an -s."""
        return self.kind in SINGULAR

    @property
    def was(self) -> str:
        return "was" if self.third_person or self.kind == "me" else "were"

    @property
    def present(self) -> str:
        return "is" if self.third_person else "am" if self.kind == "me" else "are"

    @property
    def denies(self) -> bool:
        """Whether the phrase makes the sentence a negative one, as "Nobody" does."""
        return self.phrase.split()[0] in DENYING


class Cast:
    """Chooses people from the lexicon."""

    def __init__(self, lexicon: dict[str, Any], source: random.Random) -> None:
        self.people = lexicon["people"]
        self.topics = lexicon["topics"]
        self.random = source
        names = self.people["female_names"] + self.people["male_names"]
        self.proper = frozenset([*names, "I", "Mom", "Dad"])

    def inside(self, phrase: str) -> str:
        """Return `phrase` as it stands inside a sentence: names and "I" keep their capital."""
        return phrase if phrase.split()[0] in self.proper else phrase[0].lower() + phrase[1:]

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pronoun(self, kind: str) -> Person:
        return Person(PRONOUNS[kind][0], kind)

    def named(self, kind: str) -> Person:
        """Somebody with a name, of the given gender."""
        return Person(self.random.choice(self.people[f"{kind}_names"]), kind)

    def described(self, kind: str) -> Person:
        """Somebody of the given gender with a noun that tells it: "the old king"."""
        noun = self.random.choice(self.people[f"{kind}_nouns"])
        if self.chance(0.25):
            noun = f"{self.random.choice(self.people['role_adjectives'])} {noun}"
        return Person(self.with_determiner(noun), kind)

    def with_determiner(self, noun: str) -> str:
        """The noun with a determiner of one person: "The king", "An old king"."""
        determiner = self.random.choice(self.people["determiners"])
        return f"{'An' if determiner == 'A' and noun.startswith(VOWELS) else determiner} {noun}"

    def gendered(self, kind: str) -> Person:
        """Somebody whose gender the phrase tells, by name or by noun."""
        if self.chance(0.06):
            return Person(self.random.choice(self.people[f"{kind}_titles"]), kind)
        return self.named(kind) if self.chance(0.65) else self.described(kind)

    def protagonist(self) -> Person:
        """The one a document is about."""
        if self.chance(0.16):
            return self.pronoun(self.random.choice(("plural", "us", "me", "you")))
        return self.gendered("female" if self.chance(0.55) else "male")

    def role(self, topic: str, *, beside: str) -> Person:
        """Somebody whose work tells the topic: "the doctor"; not of the gender `beside`, unless the noun says so."""
        noun = self.random.choice(self.topics[topic]["roles"])
        if self.chance(0.25):
            noun = f"{self.random.choice(self.people['role_adjectives'])} {noun}"
        kind = {"female": "male", "male": "female"}.get(beside) or self.random.choice(("female", "male"))
        if noun.split()[-1] in self.people["female_nouns"]:
            kind = "female"
        elif noun.split()[-1] in self.people["male_nouns"]:
            kind = "male"
        return Person(self.with_determiner(noun), kind, topic)

    def roles(self, topic: str) -> Person:
        """Several of them: "two nurses", "Doctors"."""
        noun = self.random.choice(self.topics[topic]["plurals"])
        if self.chance(0.3):
            return Person(noun.capitalize(), "plural", topic)
        return Person(f"{self.random.choice(self.people['plural_determiners'])} {noun}", "plural", topic)

    def many(self) -> Person:
        """Several people, of no topic."""
        draw, people = self.random.random(), self.people
        if draw < 0.25:
            return Person(self.random.choice(people["plural_starts"]), "plural")
        if draw < 0.5:
            phrase = self.random.choice(people["crowds"])
            kind = "us" if phrase.startswith(("We", "My friends and I")) or phrase.endswith(" us") else "plural"
            return Person(phrase, kind)
        noun = self.random.choice(people["plural_nouns"])
        if self.chance(0.2):
            noun = f"{noun} {self.random.choice(people['origins'])}"
        return Person(f"{self.random.choice(people['plural_determiners'])} {noun}", "plural")

    def many_nouns(self) -> Person:
        """Several people with a determiner: "the parents"."""
        noun = self.random.choice(self.people["plural_nouns"])
        return Person(f"{self.random.choice(self.people['plural_determiners'])} {noun}", "plural")

    def anybody(self) -> Person:
        """Anybody who can be the subject of a sentence, of no topic."""
        draw = self.random.random()
        if draw < 0.36:
            return self.named(self.random.choice(("female", "male")))
        if draw < 0.60:
            return self.pronoun(self.random.choice(("female", "male", "plural", "us", "me", "you")))
        if draw < 0.70:
            person = self.described(self.random.choice(("female", "male")))
            origin = f" {self.random.choice(self.people['origins'])}" if self.chance(0.3) else ""
            return Person(person.phrase + origin, person.kind)
        if draw < 0.84:
            return self.many()
        if draw < 0.92:
            return Person(self.random.choice(self.people["anyone"]), "anyone")
        whole = "whole " if self.chance(0.3) else ""
        return Person(f"{self.random.choice(('The', 'Our', 'My', 'That'))} {whole}{self.random.choice(self.people['groups'])}", "group")

    def cause(self) -> Person:
        """Something that happens to people: a storm, a noise."""
        phrase = self.random.choice(self.people["causes"])
        several = phrase in ("his words", "wind and rain")
        return Person(phrase[0].upper() + phrase[1:], "plural" if several else "thing")
