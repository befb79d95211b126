// Compiles either way, so the check must complain about it: the proof that the check can fail. expect: nothing
int main() { return 0; }
