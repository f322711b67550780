"""Verbs and what follows them: gifts, endings and possessions that go by the words before."""

from __future__ import annotations

import random
from typing import Any

from people import Cast, Person
from scene import Mood, Scene

ADJECTIVES = ("old", "new", "own", "little", "whole", "second", "third", "first", "best", "favorite", "only")
OF_THEIR_OWN = ("seat", "horse", "car", "keys", "letter", "ring", "coat", "watch", "house", "book", "boat", "bag", "map", "money")
HARDLY_ANY = ("money", "advice", "tea", "water", "letters", "flowers", "time", "news")
PLACE_WORDS = ("in", "near", "behind", "at", "from")
SOMETIMES = ("often", "always", "rarely", "once", "ever", "still", "also", "soon", "then", "only", "almost")


class Phrases:
    """Writes the parts of a sentence that stand behind its subject."""

    def __init__(self, lexicon: dict[str, Any], cast: Cast, source: random.Random) -> None:
        self.topics = lexicon["topics"]
        self.scenes = lexicon["scenes"]
        self.cast = cast
        self.random = source
        self.chance = cast.chance
        self.choice = source.choice

    # -- verbs ----------------------------------------------------------------------------------

    def verb(self, entry: list[Any], subject: Person, mood: Mood) -> str:
        """Inflect a verb, and note in `mood` what the form asks of the rest of the sentence."""
        base, past, participle, present = entry[:4]
        mood.denies |= subject.denies
        draw = self.random.random()
        if draw < 0.50:
            return past
        if draw < 0.56:
            mood.denies = True
            return f"never {past}"
        if draw < 0.63:
            return f"{self.choice(SOMETIMES)} {past}"
        if draw < 0.71:
            mood.future = True
            return f"{self.choice(('will', 'will', 'will', 'will soon', 'must', 'would', 'could'))} {base}"
        if draw < 0.78:
            mood.denies = True
            return f"{self.choice(('will not', 'did not', 'would not', 'cannot', 'could not'))} {base}"
        if draw < 0.83:
            helping = "had" if self.chance(0.4) else "has" if subject.third_person else "have"
            return f"{helping} {participle}"
        if draw < 0.86:
            return f"{self.choice(('could have', 'would have'))} {participle}"
        if draw < 0.88:
            return f"wanted to {base}"
        return present if subject.third_person else base

    # -- what comes behind "her" -------------------------------------------------------------------

    def gift(self, entry: list[Any], subject: Person, scene: Scene, mood: Mood) -> str:
        """What somebody gets: by the denial, by the giver's person, by the topic, by the verb."""
        draw = self.random.random()
        if mood.denies and draw < 0.6:
            return f"any {self.choice(HARDLY_ANY)}"
        if draw < 0.25:
            adjective = f"{self.choice(('old', 'new', 'best', 'little'))} " if self.chance(0.25) else ""
            return f"{subject.possessive} {adjective}{self.choice(OF_THEIR_OWN)}"
        if draw < 0.75 and scene.told:
            return str(self.choice(self.topics[scene.topic]["gifts"]))
        return str(self.choice(entry[4]))

    def ending(self, entry: list[Any] | None, subject: Person, scene: Scene, mood: Mood) -> str:
        """How a sentence goes on behind its object, or nothing: by denial, tense, person and topic."""
        draw = self.random.random()
        if draw < 0.22:
            return ""
        if mood.denies and draw < 0.6:
            return str(self.choice(self.scenes["never_times"]))
        if mood.future and draw < 0.55:
            return str(self.choice(self.scenes["future_times"]))
        if draw < 0.40:
            return f"{self.choice(PLACE_WORDS)} {subject.possessive} {self.choice(self.scenes['own_places'])}"
        if scene.told and draw < 0.75:
            return str(self.choice(self.topics[scene.topic]["places"]))
        if entry is not None and draw < 0.88:
            return str(self.choice(entry[4]))
        return str(self.choice(self.scenes["places"] if mood.timed or mood.future else self.scenes["past_times"]))

    def possession(self, nouns: list[str], scene: Scene, *, remembered: bool = True) -> str:
        """What is somebody's: what they are known to have, else by the topic, else of `nouns`."""
        if remembered and scene.thing is not None and self.chance(0.9):
            return scene.thing
        noun = str(self.choice(nouns))
        if scene.told and self.chance(0.6):
            noun = str(self.choice(self.topics[scene.topic]["things"]))
        if self.chance(0.15):
            noun = f"{self.choice(ADJECTIVES)} {noun}"
        return noun

    def things(self, scene: Scene) -> list[str]:
        """Nouns for what somebody may have where neither topic nor verb says."""
        return [*OF_THEIR_OWN, "name", "life", "advice", "story", "way", "word"] if not scene.told else list(self.topics[scene.topic]["things"])

    def followed(self, *parts: str) -> str:
        """Join what there is."""
        return " ".join(part for part in parts if part)
