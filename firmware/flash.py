"""What a meter keeps through a power cut: its secret, its state, and the readings that nobody acknowledged.

Every file is written beside the old one and put in its place by renaming, which on littlefs, the file system of the
ESP32, either happened or did not. A reading is a file of its own: small ones lie in the folder's own blocks there, and
one that is acknowledged is removed without rewriting the others.
"""

import json
import os

import secp256k1

SECRET, STATE, OUTBOX = "secret", "state.json", "outbox"


class Flash:
    """The files of one meter.

    folder : where they are
    keep : how many readings wait at most; the oldest go first, being those that the exchange no longer takes
    """

    def __init__(self, folder, keep):
        self._folder, self._keep = folder, keep
        if OUTBOX not in os.listdir(folder):
            os.mkdir(self._path(OUTBOX))
        # Numbers alone are in memory: a week of readings would fill it.
        self._numbers = sorted(int(name) for name in os.listdir(self._path(OUTBOX)) if "." not in name)

    @property
    def newest(self):
        """The highest number among the readings that wait, 0 when none does."""
        return self._numbers[-1] if self._numbers else 0

    @property
    def waiting(self):
        """How many readings wait."""
        return len(self._numbers)

    def secret(self, random):
        """The 32 secret bytes; where there are none, `random(32)` makes them, once and for ever."""
        if SECRET not in os.listdir(self._folder):
            made = random(32)
            secp256k1.scalar(made)
            self._write(SECRET, made)
        with open(self._path(SECRET), "rb") as file:
            return file.read()

    def state(self):
        """What was saved last, {} before the first time.

        Raises ValueError when it cannot be read: a meter that starts with number 1 again would not be believed.
        """
        if STATE not in os.listdir(self._folder):
            return {}
        with open(self._path(STATE)) as file:
            return json.load(file)

    def save(self, state):
        """Keep what JSON can say."""
        self._write(STATE, json.dumps(state).encode())

    def put(self, number, reading):
        """Keep a signed reading [text of JSON] under its number."""
        self._write(self._name(number), reading.encode())
        self._numbers.append(number)
        while len(self._numbers) > self._keep:
            self._remove(self._numbers[0])

    def get(self, number):
        """The text of a reading that waits."""
        with open(self._path(self._name(number))) as file:
            return file.read()

    def oldest(self, count):
        """Up to so many numbers of readings that wait, lowest first."""
        return self._numbers[:count]

    def drop(self, upto, others):
        """Forget readings up to a number, and others of these numbers."""
        for number in [number for number in self._numbers if number <= upto or number in others]:
            self._remove(number)

    def _remove(self, number):
        os.remove(self._path(self._name(number)))
        self._numbers.remove(number)

    def _name(self, number):
        return OUTBOX + "/" + str(number)

    def _path(self, name):
        return self._folder + "/" + name

    def _write(self, name, data):
        # With a dot, so that what a power cut left half written is no reading.
        beside = self._path(name + ".new")
        with open(beside, "wb") as file:
            file.write(data)
        os.rename(beside, self._path(name))
