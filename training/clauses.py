"""Sentences in which a pronoun refers back: as object, as what is given to, as possessive, in every place.

Whether " her" is somebody or somebody's, which noun or ending comes behind it, and which pronoun comes
at all, is decided by earlier words than the one before it.
"""

from __future__ import annotations

import random
from typing import Any

from people import Cast, Person
from phrases import Phrases
from scene import Mood, Scene

THEIRS_ANYWAY = 0.14
"""How often somebody else's verb takes a thing of the person spoken of ("The judge heard her story")."""


class Clauses:
    """Writes clauses and sentences without their final mark."""

    def __init__(self, lexicon: dict[str, Any], cast: Cast, source: random.Random) -> None:
        self.give, self.both, self.meet, self.own, self.beside = (
            list(lexicon[part].values()) for part in ("give", "both", "meet", "own", "beside")
        )
        self.acts = [entry for entry in self.meet + self.both if entry[0] not in ("let", "make", "want")]
        orders = lexicon["scenes"]["orders"]
        self.orders = [entry for entry in self.give + self.both + self.meet if entry[0] in orders]
        self.because = lexicon["because"]
        self.after_that = lexicon["after_that"]
        self.copulas = lexicon["copula"]
        self.both_of = lexicon["both_of"]
        self.people = lexicon["people"]
        self.topics = lexicon["topics"]
        self.phrases = Phrases(lexicon, cast, source)
        self.cast = cast
        self.random = source
        self.chance = cast.chance
        self.choice = source.choice

    # -- whose it is ------------------------------------------------------------------------------

    def subject(self, scene: Scene) -> Person:
        """Somebody who does something: of the topic, or anybody, but not the person spoken of by name."""
        while True:
            draw = self.random.random()
            if draw < 0.22:
                person = self.cast.role(scene.topic, beside=scene.about.kind)
            elif draw < 0.36:
                person = self.cast.roles(scene.topic)
            else:
                person = self.cast.anybody()
            if person.phrase != scene.about.phrase:
                scene.told |= person.topic is not None
                return person

    def same(self, subject: Person, scene: Scene) -> bool:
        """Whether the pronoun would refer to the subject itself: then it can't be the object."""
        if subject.kind != scene.about.kind:
            return False
        return not scene.introduced or subject.phrase in (scene.about.subject, scene.about.phrase)

    # -- plain clauses ------------------------------------------------------------------------------

    def plain(self, subject: Person, scene: Scene, mood: Mood) -> str:
        """Subject, verb, and somebody or something of theirs."""
        draw = self.random.random()
        if self.same(subject, scene):
            entries = self.both if draw < 0.45 else self.give if draw < 0.7 else self.own
            return self.theirs(subject, scene, self.choice(entries), mood)
        if draw < 0.38:
            return self.given(subject, scene, self.choice(self.give), mood)
        if draw < 0.76:
            return self.somebody(subject, scene, self.choice(self.both), mood)
        if draw < 0.88:
            return self.somebody(subject, scene, self.choice(self.meet), mood)
        return self.theirs(subject, scene, self.choice(self.own), mood)

    def given(self, subject: Person, scene: Scene, entry: list[Any], mood: Mood) -> str:
        """Somebody is given something; now and then it is something of theirs that is given."""
        if self.chance(THEIRS_ANYWAY / 2):
            return self.theirs(subject, scene, entry, mood)
        verb = self.phrases.verb(entry, subject, mood)
        return f"{subject.phrase} {verb} {scene.about.object} {self.phrases.gift(entry, subject, scene, mood)}"

    def somebody(self, subject: Person, scene: Scene, entry: list[Any], mood: Mood) -> str:
        """Somebody is the object."""
        if entry in self.both and self.chance(THEIRS_ANYWAY):
            return self.theirs(subject, scene, entry, mood)
        verb = self.phrases.verb(entry, subject, mood)
        text = f"{subject.phrase} {verb} {scene.about.object}"
        return self.phrases.followed(text, self.phrases.ending(entry, subject, scene, mood))

    def theirs(self, subject: Person, scene: Scene, entry: list[Any], mood: Mood) -> str:
        """Something of theirs is the object."""
        verb = self.phrases.verb(entry, subject, mood)
        nouns = list(entry[4]) if entry in self.own else self.phrases.things(scene)
        even = "even " if self.chance(0.04) else ""
        text = f"{subject.phrase} {verb} {even}{scene.about.possessive} {self.phrases.possession(nouns, scene)}"
        if self.chance(0.6):
            return text
        return self.phrases.followed(text, self.phrases.ending(None, subject, scene, mood))

    # -- after prepositions, conjunctions, adverbs -----------------------------------------------------

    def preposition(self, subject: Person, scene: Scene, mood: Mood) -> str:
        """Beside somebody, or beside something of theirs."""
        entry = self.choice(self.beside)
        text = f"{subject.phrase} {self.phrases.verb(entry, subject, mood)} {entry[4]}"
        if self.same(subject, scene) or self.chance(THEIRS_ANYWAY):
            return f"{text} {scene.about.possessive} {self.phrases.possession(entry[5], scene)}"
        slowly = "slowly" if self.chance(0.06) else ""
        return self.phrases.followed(text, scene.about.object, slowly or self.phrases.ending(None, subject, scene, mood))

    def conjunction(self, subject: Person, scene: Scene, mood: Mood) -> str:
        """Somebody feels or waits, and something of theirs is why."""
        if self.chance(0.25):
            verb = self.choice(self.after_that["verbs"])
            return f"{subject.phrase} {verb} {scene.about.possessive} {self.choice(self.after_that['clauses'])}"
        verb = self.choice(list(self.because))
        conjunctions, clauses = self.because[verb]
        mood.denies |= subject.denies
        return f"{subject.phrase} {verb} {self.choice(conjunctions)} {scene.about.possessive} {self.choice(clauses)}"

    def copula(self, scene: Scene) -> str:
        """Somebody or something is somebody's: gender, number and kind of the subject choose the noun."""
        kind = self.choice(("event", "female", "male", "plural"))
        if kind == "event":
            phrase = self.choice(self.people["events"])
            subject = Person(phrase[0].upper() + phrase[1:], "thing")
        elif kind == "plural":
            subject = self.cast.many()
        else:
            subject = self.cast.pronoun(kind) if self.chance(0.4) else self.cast.gendered(kind)
        if subject.kind == "us":
            kind = "plural"
        verb = self.being(subject)
        mine = scene.about.possessive if subject.kind != scene.about.kind or kind in ("event", "plural") else self.other_possessive(subject)
        noun = self.choice(self.copula_nouns(kind, scene))
        return f"{subject.phrase} {verb} {mine} {noun}"

    def copula_nouns(self, kind: str, scene: Scene) -> list[str]:
        """Nouns that somebody of this kind can be to somebody else."""
        nouns = list(self.copulas[f"{kind}_nouns"])
        if kind in ("event", "plural") or not scene.told:
            return nouns
        return [*nouns, *self.topics[scene.topic]["friends"][:1]]

    def being(self, subject: Person) -> str:
        """A form of to be or to become, mostly with an adverb."""
        form = subject.present if self.chance(0.4) else subject.was
        draw = self.random.random()
        if draw < 0.6:
            return f"{form} {self.choice(self.copulas['adverbs'])}"
        if draw < 0.78:
            return form
        if draw < 0.9:
            return f"{'soon ' if self.chance(0.2) else ''}became"
        if draw < 0.95 and not subject.third_person:
            return f"{form} all"
        return "remains" if subject.third_person else form

    def other_possessive(self, subject: Person) -> str:
        """A possessive of somebody who is not the subject."""
        return "her" if subject.kind == "male" else "his" if subject.kind == "female" else "my"

    # -- sentences with a clause inside ------------------------------------------------------------------

    def pair(self) -> tuple[Person, Person]:
        """Two people of different gender, the first of either."""
        first, second = ("female", "male") if self.chance(0.5) else ("male", "female")
        return self.cast.gendered(first), self.cast.gendered(second)

    def meeting(self, first: Person, second: Person) -> str:
        """One person does something to another: both are known from here on."""
        return f"{first.phrase} {self.choice(self.acts)[1]} {self.cast.inside(second.phrase)}"

    def coordinated(self, scene: Scene) -> str:
        """Join two clauses: "Tom saw Mary and sold her a car", "Mary saw Tom and sold her car"; the roles decide."""
        first, second = self.pair()
        opening = self.meeting(first, second)
        return f"{opening} and {self.reading(first, second, scene, Person('', first.kind))}"

    def reading(self, subject: Person, other: Person, scene: Scene, named: Person) -> str:
        """A verb with a pronoun for either of two people; `named` is how the subject is called here."""
        entry = self.choice(self.give if self.chance(0.5) else self.both)
        inner = Scene(subject if self.chance(0.5) else other, scene.topic, introduced=True, told=scene.told)
        mood = Mood(timed=True)
        if inner.about is subject:
            verb, noun = entry[1], self.phrases.possession(self.phrases.things(scene), inner)
            return self.phrases.followed(named.phrase, verb, subject.possessive, noun)
        verb = entry[1]
        tail = self.phrases.gift(entry, subject, inner, mood) if entry in self.give else self.phrases.ending(entry, subject, inner, mood)
        return self.phrases.followed(named.phrase, verb, other.object, tail)

    def subordinate(self, scene: Scene) -> str:
        """Put one clause before: "After Tom met Mary he lent her a coat"; the pronoun says who acts, and so who " her" is."""
        first, second = self.pair()
        actor, other = (first, second) if self.chance(0.5) else (second, first)
        word = self.choice(("After", "When", "Since", "While", "Because"))
        opening = f"{word} {self.cast.inside(self.meeting(first, second))}"
        return f"{opening} {self.reading(actor, other, scene, Person(actor.subject.lower(), actor.kind))}"

    def relative(self, scene: Scene) -> str:
        """Put people in between: "The girl who saw the guards lost her keys"; the head, not the nearest noun, agrees."""
        head, distractor = self.head_and_distractor(scene)
        inner = Scene(head, scene.topic, introduced=True, told=scene.told)
        text = f"{head.phrase} {distractor}"
        entry = self.choice(self.own + self.both)
        nouns = entry[4] if entry in self.own else self.phrases.things(inner)
        return f"{text} {entry[1]} {head.possessive} {self.phrases.possession(list(nouns), inner)}"

    def head_and_distractor(self, scene: Scene) -> tuple[Person, str]:
        """A person and a phrase behind them that ends in people of another kind."""
        kind = self.choice(("female", "male", "plural"))
        head = self.cast.many_nouns() if kind == "plural" else self.cast.described(kind)
        others = [k for k in ("female", "male", "plural") if k != kind]
        other_kind = self.choice(others)
        other = self.cast.roles(scene.topic) if other_kind == "plural" else self.cast.gendered(other_kind)
        if other_kind == "plural":
            scene.told = True
        name = self.cast.inside(other.phrase)
        draw = self.random.random()
        if draw < 0.5:
            return head, f"who {self.choice(self.acts)[1]} {name}"
        return head, f"{self.choice(('of', 'near', 'with', 'behind', 'beside'))} {name}"

    # -- further sentences ---------------------------------------------------------------------------------

    def caused(self, scene: Scene) -> str:
        """Something happens to somebody, or to something of theirs."""
        about, cause = scene.about, self.cast.cause()
        draw = self.random.random()
        mood = Mood()
        if draw < 0.15:
            price = self.choice(("everything", "ten dollars", "money", "half the house", "half the island", about.possessive + " job"))
            return f"{cause.phrase} cost {about.object} {price}"
        if draw < 0.35:
            noun = self.phrases.possession(self.phrases.things(scene), scene)
            return f"{cause.phrase} {self.choice(('ruined', 'changed', 'saved', 'moved', 'stopped', 'ruined'))} {about.possessive} {noun}"
        entry = self.choice(self.acts)
        if draw < 0.55:
            return f"It was {self.cast.inside(cause.phrase)} that {entry[1]} {about.object}"
        return self.phrases.followed(f"{cause.phrase} {entry[1]} {about.object}", self.phrases.ending(entry, cause, scene, mood))

    def command(self, scene: Scene) -> str:
        """An imperative or a question; a question ends in a question mark."""
        about, you = scene.about, Person("You", "you")
        start = self.choice(("Please", "Never", "Always", "Who", "Nothing", "", "", "", "", "", "Are"))
        if start == "Are":
            return f"Are you {self.choice(self.copulas['adverbs'])} {about.possessive} {self.choice(('friend', 'boss', 'sister', 'lawyer', 'guest'))}?"
        if not start and self.chance(0.15):
            return f"Ask if {about.possessive} {self.choice(self.after_that['clauses'])}"
        asked = start in ("Who", "Nothing")
        entry = self.choice(self.give + self.both + self.meet if asked or start else self.orders)
        verb = entry[1] if asked else entry[0]
        mood = Mood(denies=start in ("Never", "Nothing"), future=not asked)
        actor = Person("", "anyone") if asked else you
        tail = self.phrases.gift(entry, actor, scene, mood) if entry in self.give else self.phrases.ending(entry, actor, scene, mood)
        text = self.phrases.followed(start, verb, about.object, tail)
        return text[0].upper() + text[1:] + ("?" if start == "Who" else "")

    def rare(self, scene: Scene) -> str:
        """Places for a pronoun that the other sentences have not."""
        about, topic = scene.about, self.topics[scene.topic]
        thing = self.phrases.possession(self.phrases.things(scene), scene)
        friend = self.choice(topic["friends"] + ["lawyer", "sister", "brother", "friend"])
        somebody = self.cast.anybody()
        mood = Mood()
        other = "he" if about.kind == "female" else "she"
        return str(self.choice((
            f"{self.choice(('Now ', 'Today ', '', 'Then '))}both {about.possessive} {self.choice(self.both_of['nouns'])} {self.choice(self.both_of['ends'])}",
            f"{somebody.phrase} and {about.possessive} {friend} {self.choice(('agreed', 'met', 'came home', 'stayed', 'left', 'smiled'))}",
            f"{self.choice(('Either', 'Now'))} {self.choice(('you', other))} or {about.possessive} {friend} must {self.choice(('sign', 'pay', 'leave', 'agree', 'work'))}",
            f"Nothing in {self.choice(('sight', 'town', 'the house', 'the room'))} moved but {about.possessive} {thing}",
            f"High above {about.object} a {self.choice(('bird', 'black bird', 'small bird'))} {self.choice(('flew', 'sang', 'cried'))}",
            f"High above {about.possessive} {thing} the {self.choice(('snow fell', 'birds flew', 'wind moved', 'storm moved'))}",
            f"{self.choice(('Snow', 'Rain', 'Wind'))} {self.choice(('fell', 'came', 'stopped'))} {self.choice(('when', 'after', 'until', 'while'))} {about.possessive} {self.choice(('flight landed', 'train came', 'bus left', 'plane landed'))}",
            f"What happened {self.choice(('is', 'was'))} {self.choice(self.copulas['adverbs'])} {about.possessive} {self.choice(self.copulas['event_nouns'])}",
            f"{self.choice(('Every gift', 'This song', 'The ring', 'One letter', 'The wine'))} {self.choice(('is', 'was'))} {self.choice(('for', 'from'))} {about.object}",
            f"{somebody.phrase} cannot do without {self.choice((about.object, f'{about.possessive} {thing}'))}",
            f"{somebody.phrase} {self.phrases.verb(self.choice(self.both), somebody, mood)} {self.cast.inside(self.cast.many().phrase)} and {about.object}",
            f"There {self.choice(('was', 'is'))} {self.choice(('nothing', 'someone', 'a bird', 'a horse', 'a stranger'))} {self.choice(('beside', 'behind', 'above', 'near'))} {about.object}",
            f"One {self.choice(('black', 'red', 'small', 'old'))} {self.choice(('car', 'horse', 'bus', 'boat'))} {self.choice(('stopped behind', 'moved past', 'stopped near', 'moved toward'))} {about.object}",
        ))).removeprefix(" ")
