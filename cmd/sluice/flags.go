package main

import "github.com/urfave/cli/v3"

// defaultDir is where a node keeps everything unless told otherwise.
const defaultDir = "data"

func dirFlag(usage string) *cli.StringFlag {
	return &cli.StringFlag{Name: "dir", Value: defaultDir, Usage: usage, Sources: cli.EnvVars("SLUICE_DIR"), TakesFile: true}
}

func jsonFlag() *cli.BoolFlag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON for programs instead of text for people", Sources: cli.EnvVars("SLUICE_JSON")}
}

// clientFlags are those of every verb that talks to a running node.
func clientFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "server", Usage: "admin URL of the running node (default: that of the node running on --dir)", Sources: cli.EnvVars("SLUICE_SERVER")},
		&cli.StringFlag{Name: "token", Usage: "admin token (default: the one in --dir)", Sources: cli.EnvVars("SLUICE_TOKEN")},
		dirFlag("data directory of a node on this machine, in which its admin URL and token are found"),
		jsonFlag(),
	}, more...)
}
