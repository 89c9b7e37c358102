package figure

import (
	"errors"
	"os"
	"time"
)

// Flush is how long the disk under a directory takes to make 4 KiB durable, the median of many. What writes cost, and how
// a server that flushes twice a commit compares with one that flushes once, hangs on it.
func Flush(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "flush-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	const most = 200
	var (
		each []time.Duration
		page = make([]byte, 4096)
	)
	for begun := time.Now(); len(each) < most && time.Since(begun) < 2*time.Second; {
		before := time.Now()
		if _, err = f.WriteAt(page, 0); err == nil {
			err = f.Sync()
		}
		if err != nil {
			break
		}
		each = append(each, time.Since(before))
	}
	return Median(each), errors.Join(err, f.Close())
}
