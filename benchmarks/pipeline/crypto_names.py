#!/usr/bin/env python3
"""The names of all functions of src/crypto, as lines of a C array: crypto_names.py NM LIBRARY OUTPUT."""
import subprocess
import sys

nm, library, output = sys.argv[1:]
listing = subprocess.run([nm, "--defined-only", "--format=posix", library], check=True, capture_output=True, text=True)
words = (line.split() for line in listing.stdout.splitlines())
names = sorted({word[0] for word in words if len(word) > 1 and word[1] in "tT"})
with open(output, "w", encoding="ascii") as file:
    file.writelines(f'"{name}",\n' for name in names)
