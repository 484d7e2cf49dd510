"""Replay: hot code compiles itself.  Trace, match, launch; everything else serves these three.

The core: ``record.py`` runs events eagerly and notes them (`recording.py`), ``tree.py`` keeps the
stretches that came round, ``match.py`` takes their events without computing.  ``replaying.py``
moves between the two.  What an event of each kind means to all of them stands in ``kinds.py``.

Around it: where a stretch ends (``ends.py``), compiling stretches and keeping them
(``library.py``, ``patience.py``), running a flight eagerly after all (``bail.py``, ``settle.py``),
optimisers' steps (``stepping.py``), other threads (``elsewhere.py``).
"""

from rushlight.replay.replaying import Replay, begin, flush, forget, replay, stop

__all__ = ["Replay", "begin", "flush", "forget", "replay", "stop"]
