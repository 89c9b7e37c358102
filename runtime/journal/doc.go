// Package journal keeps the newest of what a project's developer wants to look at: refusals, and the lines that guests
// write. It is for eyes, not for proof: old entries make room for new ones, and what a guest writes too fast is dropped
// and counted.
//
// A Log is a ring in memory. Adding to it takes a lock for the time of a copy: it waits for no reader, no disk and no
// network, so that a flood of refusals costs the requests that cause it next to nothing. A reader asks for what came
// after a number, at once or as soon as there is something.
//
// A Journal is the two logs of one project. Its refusals are written to a file now and then by whoever calls Save, never
// by a request; the file is replaced whole and holds what the ring holds, so it cannot grow, and a restart or a crash loses
// at most what came since the last Save.
//
// Everything may be called concurrently. Entries are values; the strings in them are immutable and kept.
package journal
