// Package letter turns a template and variables into the words of a mail: subject, text and HTML. It is pure: it opens no
// file and sends nothing.
//
// Nouns: a [Template] is what a project declares, [Parse] makes a [Parsed] of it, and [Parsed.Write] a [Letter].
// [Builtin] has the templates that every project begins with.
//
// Templates are Go's text/template and html/template, of which only two things are let in: a variable, {{.name}} (or
// {{name}}), and a choice, {{if .name}} … {{else}} … {{end}}. No functions, methods, loops, or templates in templates: a
// template cannot run for long, grow large, or reach anything but the strings that it is given. In HTML each variable is
// escaped for the place where it stands. What becomes a header cannot hold line breaks.
//
// Everything may be called concurrently.
package letter
