package meter

// leafBytes is how much native stack a function and everything that it calls may take without being counted: no more than
// one such tree of calls is open at a time.
const leafBytes = 8 << 10

// externBytes is set aside for the call of an imported function, which leaves the guest's stack.
const externBytes = 512

// calls is the graph of a module's functions: who calls whom.
type calls struct {
	frames  []int32  // of each function, without what it calls
	ends    []uint32 // callees[ends[i-1]:ends[i]] are those of function i
	callees []uint32
	unknown []bool // whether the function calls through a table
}

// add notes the next function.
func (g *calls) add(w *walk) {
	frame := w.frameBytes()
	if w.extern {
		frame += externBytes
	}
	g.frames = append(g.frames, frame)
	g.callees = append(g.callees, w.callees...)
	g.ends = append(g.ends, uint32(len(g.callees)))
	g.unknown = append(g.unknown, w.indirect)
}

func (g *calls) of(function uint32) []uint32 {
	begin := uint32(0)
	if function > 0 {
		begin = g.ends[function-1]
	}
	return g.callees[begin:g.ends[function]]
}

// counted says of each function whether it must count the stack that it takes: all that may call themselves again, by
// whatever way, or whose calls add up to more than leafBytes. The others are done in the order in which what they call is
// known; whoever is never reached so lies on a circle, or calls into one.
func (g *calls) counted() []bool {
	callers := g.reversed()
	depth, waiting, out := make([]int32, len(g.frames)), make([]uint32, len(g.frames)), make([]bool, len(g.frames))
	var ready []uint32
	for i := range out {
		out[i] = true
		waiting[i] = uint32(len(g.of(uint32(i))))
		if waiting[i] == 0 {
			ready = append(ready, uint32(i))
		}
	}
	for len(ready) > 0 {
		f := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		total := depth[f] + g.frames[f]
		if g.unknown[f] || total > leafBytes {
			continue // and nor do its callers become ready
		}
		out[f] = false
		for _, caller := range callers.of(f) {
			depth[caller] = max(depth[caller], total)
			if waiting[caller]--; waiting[caller] == 0 {
				ready = append(ready, caller)
			}
		}
	}
	return out
}

// reversed is the graph with every arrow turned round.
func (g *calls) reversed() *calls {
	r := &calls{ends: make([]uint32, len(g.frames)), callees: make([]uint32, len(g.callees))}
	for _, callee := range g.callees {
		r.ends[callee]++
	}
	sum := uint32(0)
	for i, n := range r.ends {
		r.ends[i] = sum // where its callers begin; filling moves it to where they end
		sum += n
	}
	for caller := range g.frames {
		for _, callee := range g.of(uint32(caller)) {
			r.callees[r.ends[callee]] = uint32(caller)
			r.ends[callee]++
		}
	}
	return r
}
