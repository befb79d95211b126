"""Continues a text: complete.py MODEL.gguf [TEXT]"""
import sys

from hearth import Llama

prompt = sys.argv[2] if len(sys.argv) > 2 else "Once upon a time"
with Llama(sys.argv[1]) as llama:
    for part in llama(prompt, max_tokens=100, temperature=0, stream=True):
        print(part["choices"][0]["text"], end="", flush=True)
    print()
