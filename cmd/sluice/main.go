// Command sluice is the Sluice server and its command line: one binary, one file a verb.
//
// It reads flags and the environment, builds the rooms and prints answers. It holds no logic of its own: what a verb
// does to a running node, it asks of that node's admin API, as any other client could.
//
// Exit codes: 0 done, 1 it failed, 2 it was called wrongly. Of `bundle test`: 1 a case does not hold, 2 they could not be run.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args, &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
