"""The letters that every bank in the single euro payments area takes, for names and references in others."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LETTERS: Final = (
    "Ä=Ae Ö=Oe Ü=Ue ä=ae ö=oe ü=ue ß=ss ẞ=SS Æ=Ae æ=ae Œ=Oe œ=oe Ø=O ø=o Å=A å=a Đ=D đ=d Ð=D ð=d Þ=Th þ=th Ł=L ł=l "
    "Ħ=H ħ=h ı=i Ŋ=N ŋ=n Ŧ=T ŧ=t ĸ=k ſ=s €=EUR &=+ _=- –=- —=- ‘=' ’=' `=' ´=' “=' ”=' „=' \"=' @=(at) ;=,"
)
_SOUNDS: Final = (
    "α=a β=v γ=g δ=d ε=e ζ=z η=i θ=th ι=i κ=k λ=l μ=m ν=n ξ=x ο=o π=p ρ=r σ=s ς=s τ=t υ=y φ=f χ=ch ψ=ps ω=o "
    "а=a б=b в=v г=g д=d е=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=h ц=ts ч=ch ш=sh щ=sht "
    "ъ=a ы=y ь=y э=e ю=yu я=ya і=i ї=yi є=ye ґ=g ј=j љ=lj њ=nj ћ=c ђ=dj џ=dz ѕ=dz ѓ=gj ќ=kj ў=u"
)
_PAIRS: Final = {"ου": "ou", "ού": "ou", "Ου": "Ou", "Ού": "Ou", "ΟΥ": "OU"}
"""Two Greek letters with one sound."""
_OWN: Final = {found[1]: found[2] for found in re.finditer(r"(\S)=(\S+)", _LETTERS)}
_SCRIPTS: Final = {found[1]: found[2] for found in re.finditer(r"(\S)=(\S+)", _SOUNDS)}
_REFUSED: Final = re.compile(r"[^a-zA-Z0-9/\-?:().,'+ ]")


def latin(text: str, longest: int) -> str:
    """A text in the letters that every bank takes, cut to `longest`; what has none like it becomes a full stop.

    Umlauts as in German, Greek and Cyrillic by the sounds of modern Greek and Bulgarian; all else without its accents.

    >>> latin("Jürgen Łukasik & Söhne", 70), latin("Ελένη Щерева", 70)
    ('Juergen Lukasik + Soehne', 'Eleni Shtereva')
    """
    own = unicodedata.normalize("NFC", text).translate(str.maketrans(_OWN))
    for pair, sound in _PAIRS.items():
        own = own.replace(pair, sound)
    bare = "".join(_spelt(each) for each in own)
    found = " ".join(_REFUSED.sub(".", bare).split())[:longest]
    return re.sub(r"/+", "/", found).strip("/ ") or "."


def _spelt(letter: str) -> str:
    """Of a letter what of it is Latin: that of its own, or its sound, or without its accents."""
    if (sound := _SCRIPTS.get(letter.lower())) is not None:
        return sound if letter.islower() else sound.capitalize()
    parts = [each for each in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(each)]
    return parts[0] if len(parts) == 1 and parts[0] == letter else "".join(map(_spelt, parts))
