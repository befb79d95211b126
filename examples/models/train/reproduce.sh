#!/bin/sh
# Makes the demo model anew: corpus, training, GGUF, and the held-out questions; needs python3-torch and python3-numpy.
# A fast BLAS (libopenblas0-pthread) makes the difference between an hour and days.
set -e
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$here/work}
python=${PYTHON:-/usr/bin/python3}
"$python" "$here/train.py" "$work"
"$python" "$here/export.py" "$work" "${2:-$work/hearth-demo.gguf}"
"$python" "$here/evaluate.py" "$work"
