"""One flow a behaviour: what prompt flow 1.18.5 gave for it, and what we give."""
