// A command of WASI preview 1: it greets each of its arguments, and ends.
#include <stdio.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        printf("hello from C, %s\n", argv[i]);
    }
    return argc > 1 ? 0 : 2;
}
