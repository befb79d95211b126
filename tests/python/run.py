"""Runs the tests of the Python package and prints how many passed, for tests/run.sh: run.py [MODULE...]"""
import sys
import unittest

names = sys.argv[1:] or ["test_stream", "test_llama", "test_model", "test_placement", "test_stories"]
program = unittest.main(module=None, argv=["run.py", "-v", *names], exit=False)
result = program.result
failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
sys.stderr.flush()
print(f"cases: {result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
sys.exit(not result.wasSuccessful())
