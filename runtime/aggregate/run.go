package aggregate

import (
	"context"
	"iter"
)

// Bounds of a run.
const (
	DefaultSteps  = 2_000_000 // documents handed on; one that is made counts once more for each KiB
	DefaultMemory = 32 << 20  // bytes that stages keep
	DefaultOutput = 8 << 20   // bytes of the answer
)

// Limits bound one run; zero means the default.
type Limits struct{ Steps, Memory, Output int }

// stage is one step of a pipeline. It is immutable; start makes what a run of it needs. fresh says that the documents it
// will get were made by the run, and take memory.
type stage interface {
	start(r *run, next sink, fresh bool) sink
	makes() bool // it makes documents
}

// sink takes documents. A document is canonical, never changed and good until the run ends.
type sink interface {
	// push takes one document. more is false when no further one is wanted.
	push(doc []byte) (more bool, err error)
	// close ends the input; the sink closes what comes behind it.
	close() error
}

// chain is two stages that a caller wrote as one.
type chain struct{ first, second stage }

func (c *chain) start(r *run, next sink, fresh bool) sink {
	return c.first.start(r, c.second.start(r, next, fresh || c.first.makes()), fresh)
}
func (c *chain) makes() bool { return c.first.makes() || c.second.makes() }

// run counts what one run of a pipeline takes.
type run struct {
	ctx    context.Context
	lim    Limits
	steps  int
	passed int
	kept   int
}

const checkEvery = 256 // documents after which a run looks at its context

// pass hands a document on and counts it.
func (r *run) pass(next sink, doc []byte) (bool, error) {
	if r.steps++; r.steps > r.lim.Steps {
		return false, tooLarge("The pipeline makes too many documents on its way. Narrow it with $match, $limit or $project.")
	}
	if r.passed++; r.passed%checkEvery == 0 && r.ctx.Err() != nil {
		return false, context.Cause(r.ctx)
	}
	return next.push(doc)
}

// made hands a document on that the run has made.
func (r *run) made(next sink, doc []byte) (bool, error) {
	r.steps += len(doc) >> 10
	return r.pass(next, doc)
}

// keep counts bytes that stay until the run ends.
func (r *run) keep(n int) error {
	if r.kept += n; r.kept > r.lim.Memory {
		return tooLarge("The pipeline keeps more than %d MiB. Narrow it with $match or $project.", r.lim.Memory>>20)
	}
	return nil
}

// Append runs the pipeline over documents and appends the list of those that come out of it, as JSON. docs are those that
// Where lets through, in the order of their ids; they may not change until Append returns. The error is an *Error or the
// context's cause; dst is then good for nothing.
func (p *Pipeline) Append(ctx context.Context, dst []byte, docs iter.Seq[[]byte], lim Limits) ([]byte, error) {
	r := &run{ctx: ctx, lim: lim}
	for _, bound := range [...]struct {
		of   *int
		zero int
	}{{&r.lim.Steps, DefaultSteps}, {&r.lim.Memory, DefaultMemory}, {&r.lim.Output, DefaultOutput}} {
		if *bound.of <= 0 {
			*bound.of = bound.zero
		}
	}
	out := &output{dst: append(dst, '['), most: r.lim.Output, start: len(dst)}
	var first sink = out
	for i := len(p.stages) - 1; i >= 0; i-- {
		fresh := false
		for _, s := range p.stages[:i] {
			fresh = fresh || s.makes()
		}
		first = p.stages[i].start(r, first, fresh)
	}
	for doc := range docs {
		more, err := r.pass(first, doc)
		if err != nil {
			return dst, err
		}
		if !more {
			break
		}
	}
	if err := first.close(); err != nil {
		return dst, err
	}
	return append(out.dst, ']'), nil
}

// output writes the answer.
type output struct {
	dst         []byte
	start, most int
}

func (o *output) push(doc []byte) (bool, error) {
	if len(o.dst)-o.start+len(doc) > o.most {
		return false, tooLarge("The pipeline's answer takes more than %d MiB. Narrow it with $limit or $project.", o.most>>20)
	}
	if len(o.dst) > o.start+1 {
		o.dst = append(o.dst, ',')
	}
	o.dst = append(o.dst, doc...)
	return true, nil
}

func (*output) close() error { return nil }
