package torture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/kv/kvtest"
)

// slowSync is how long the slow disk takes for a sync.
func slowSync() time.Duration { return time.Duration(long(200, 2000)) * time.Millisecond }

// hurry has more clients than the queue holds write for a while, prints what
// came of it, and fails if it must not be so.
func hurry(dir string) {
	const clients, queue = 32, 8
	slow, failed := slowSync(), false
	wrong := func(format string, args ...any) {
		failed = true
		fmt.Printf("wrong: "+format+"\n", args...)
	}
	db, err := kv.Open(dir, kv.Options{MapSize: 1 << 28, QueueLength: queue})
	if err == nil {
		err = prepare(db)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var (
		running, reading sync.WaitGroup
		mu               sync.Mutex
		acked            int
		busy, reads      []time.Duration
		end              = time.Now().Add(10 * slow)
	)
	for client := range clients {
		running.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				start := time.Now()
				_, err := db.Commit(context.Background(), kvtest.Batch(kvtest.Put("c", kvtest.ID(client<<16|n), `{}`)))
				took := time.Since(start)
				mu.Lock()
				switch {
				case errors.Is(err, kv.ErrBusy):
					busy = append(busy, took)
				case err != nil:
					wrong("%v", err)
				case took < slow:
					wrong("acknowledged after %v", took)
				default:
					acked++
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	reading.Go(func() {
		for time.Now().Before(end) {
			start := time.Now()
			if _, err := written(db); err != nil {
				mu.Lock()
				wrong("reading: %v", err)
				mu.Unlock()
			}
			reads = append(reads, time.Since(start))
			time.Sleep(time.Millisecond)
		}
	})
	reading.Wait()
	running.Wait()
	slices.Sort(reads)
	slices.Sort(busy)
	if acked < queue || len(busy) < 10 {
		wrong("%d acknowledged, %d were told that it is busy: this was no load", acked, len(busy))
	} else if told, read := busy[len(busy)*9/10], reads[len(reads)*9/10]; told > slow/2 || read > slow/2 {
		wrong("nine of ten who found the queue full were told within %v, nine of ten reads took up to %v", told, read)
	} else {
		fmt.Printf("%d acknowledged, %d told that it is busy within %v, %d reads within %v (nine of ten)\n", acked, len(busy), told, len(reads), read)
	}
	if err := db.Close(); err != nil {
		wrong("close: %v", err)
	}
	if failed {
		os.Exit(1)
	}
	os.Exit(0)
}
