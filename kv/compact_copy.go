package kv

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"os"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// copier makes one file say what snapshots of another say, one after the
// other. bbolt never changes a page: what changes is written to other pages,
// up to the root. So a page that was copied, and is met again as the home of
// the same keys, needs no second look, nor does anything below it.
type copier struct {
	f        *os.File // read from
	to       *bolt.DB
	pause    func() error // asked for every page
	progress func(done, total int64)

	tx      *bolt.Tx // writes to to
	name    []byte   // of the bucket that is being copied
	bucket  *bolt.Bucket
	fresh   bool // the bucket was empty
	pending int  // bytes not committed
	changed int  // leaf pages copied in this pass

	pages walk
	seed  maphash.Seed
	// By page: a hash of the range of keys for which it was copied, 0: it was not.
	known       []uint64
	done, total int64 // pages
}

const copyBatch = 8 << 20 // bytes in a transaction

// discard ends what finish did not.
func (c *copier) discard() {
	if c.tx != nil {
		_ = c.tx.Rollback()
		c.tx = nil
	}
	_ = c.to.Close()
}

// finish makes the new file durable, with its list of free pages, and closes it.
func (c *copier) finish() error {
	c.to.NoFreelistSync = false
	if err := c.to.Update(func(*bolt.Tx) error { return nil }); err != nil {
		return err
	}
	if err := c.to.Sync(); err != nil {
		return err
	}
	return c.to.Close()
}

// pass copies what is new in a transaction, which stays open.
func (c *copier) pass(from *bolt.Tx) (err error) {
	size := int64(from.DB().Info().PageSize)
	first := c.known == nil
	if first {
		c.seed = maphash.MakeSeed()
	}
	end := from.Size() / size
	c.known = append(c.known, make([]uint64, max(0, end-int64(len(c.known))))...)
	c.pages = walk{f: c.f, meta: metaPage{pageSize: size, end: uint64(end)}}
	if first && c.progress != nil {
		if err := c.count(from); err != nil {
			return err
		}
	}
	c.changed = 0
	if c.tx, err = c.to.Begin(true); err != nil {
		return err
	}
	names := map[string]bool{}
	err = from.ForEach(func(name []byte, b *bolt.Bucket) error {
		names[string(name)] = true
		return c.copyBucket(name, b)
	})
	if err != nil {
		return err
	}
	if err := c.dropOthers(names); err != nil {
		return err
	}
	c.report(c.total)
	tx := c.tx
	c.tx = nil
	return tx.Commit()
}

// count estimates how many leaf pages there are: the trees are balanced, so
// only branches are read.
func (c *copier) count(from *bolt.Tx) error {
	var below func(id uint64) error
	below = func(id uint64) error {
		p, flags, err := c.page(id)
		if err != nil {
			return err
		}
		if flags == pageLeaf {
			c.total++
			return nil
		}
		children, err := branches(p, id)
		if err != nil {
			return err
		}
		_, flags, err = c.page(children[0].page)
		if err != nil {
			return err
		}
		if flags == pageLeaf {
			c.total += int64(len(children))
			return nil
		}
		for _, child := range children {
			if err := below(child.page); err != nil {
				return err
			}
		}
		return nil
	}
	return from.ForEach(func(_ []byte, b *bolt.Bucket) error {
		if root := uint64(b.Root()); root != 0 {
			return below(root)
		}
		return nil
	})
}

func (c *copier) copyBucket(name []byte, b *bolt.Bucket) error {
	c.name = bytes.Clone(name)
	c.fresh = c.tx.Bucket(name) == nil
	if c.fresh {
		if _, err := c.tx.CreateBucket(name); err != nil {
			return err
		}
	}
	c.enter()
	if root := uint64(b.Root()); root != 0 {
		return c.tree(root, nil, nil, 0)
	}
	var rows []pair // a small bucket has no page of its own
	err := b.ForEach(func(k, v []byte) error {
		rows = append(rows, pair{bytes.Clone(k), bytes.Clone(v)})
		return nil
	})
	if err != nil {
		return err
	}
	return c.store(rows, nil, nil)
}

// enter opens the bucket in the present transaction.
func (c *copier) enter() {
	c.bucket = c.tx.Bucket(c.name)
	c.bucket.FillPercent = sequentialFill
}

// page reads a page. The bytes are good until the next call.
func (c *copier) page(id uint64) (p []byte, flags int, err error) {
	if err := c.pause(); err != nil {
		return nil, 0, err
	}
	p, flags, _, err = c.pages.page(id)
	return p, flags, err
}

// tree copies what is below a page, the home of the keys in [low, high).
func (c *copier) tree(id uint64, low, high []byte, depth int) error {
	home := c.hash(low, high)
	if id < uint64(len(c.known)) && c.known[id] == home {
		return nil
	}
	p, flags, err := c.page(id)
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("page %d is too deep", id)
	}
	p = bytes.Clone(p) // bbolt borrows values, and the buffer is used again
	if flags == pageLeaf {
		rows, err := leafRows(p, id)
		if err != nil {
			return err
		}
		c.changed++
		c.report(c.done + 1)
		if err := c.store(rows, low, high); err != nil {
			return err
		}
	} else {
		children, err := branches(p, id)
		if err != nil {
			return err
		}
		for i, child := range children {
			from, to := low, high
			if i > 0 {
				from = child.key
			}
			if i+1 < len(children) {
				to = children[i+1].key
			}
			if err := c.tree(child.page, from, to, depth+1); err != nil {
				return err
			}
		}
	}
	c.known[id] = home
	return nil
}

// hash tells ranges of keys apart; nil is no bound. A page that stays while
// its neighbour goes becomes the home of more keys, and those must go as well.
func (c *copier) hash(low, high []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, bound := range [][]byte{low, high} {
		if bound == nil {
			h.WriteByte(0)
			continue
		}
		h.Write([]byte{1, byte(len(bound)), byte(len(bound) >> 8)})
		h.Write(bound)
	}
	return max(h.Sum64(), 1)
}

type pair struct{ key, value []byte }

// store makes the rows the only ones in [low, high).
func (c *copier) store(rows []pair, low, high []byte) error {
	put, remove := rows, [][]byte(nil)
	if !c.fresh {
		put, remove = c.differences(rows, low, high)
	}
	for _, key := range remove {
		if err := c.bucket.Delete(key); err != nil {
			return err
		}
	}
	for _, r := range put {
		if err := c.bucket.Put(r.key, r.value); err != nil {
			return err
		}
		c.pending += len(r.key) + len(r.value)
	}
	if c.pending < copyBatch {
		return nil
	}
	c.pending = 0
	if err := c.tx.Commit(); err != nil {
		c.tx = nil
		return err
	}
	var err error
	if c.tx, err = c.to.Begin(true); err != nil {
		c.tx = nil
		return err
	}
	c.enter()
	return nil
}

// differences compares the rows with what the bucket has in [low, high).
func (c *copier) differences(rows []pair, low, high []byte) (put []pair, remove [][]byte) {
	cur := c.bucket.Cursor()
	k, v := cur.Seek(low)
	within := func() bool { return k != nil && (high == nil || bytes.Compare(k, high) < 0) }
	for _, r := range rows {
		for within() && bytes.Compare(k, r.key) < 0 {
			remove = append(remove, bytes.Clone(k))
			k, v = cur.Next()
		}
		if !within() || !bytes.Equal(k, r.key) {
			put = append(put, r)
			continue
		}
		if !bytes.Equal(v, r.value) {
			put = append(put, r)
		}
		k, v = cur.Next()
	}
	for within() {
		remove = append(remove, bytes.Clone(k))
		k, _ = cur.Next()
	}
	return put, remove
}

// dropOthers deletes the buckets that are no more.
func (c *copier) dropOthers(names map[string]bool) error {
	var gone [][]byte
	err := c.tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		if !names[string(name)] {
			gone = append(gone, bytes.Clone(name))
		}
		return nil
	})
	for _, name := range gone {
		if err == nil {
			err = c.tx.DeleteBucket(name)
		}
	}
	return err
}

func (c *copier) report(done int64) {
	c.done = done
	c.total = max(c.total, done)
	if c.progress != nil {
		c.progress(c.done*c.pages.meta.pageSize, c.total*c.pages.meta.pageSize)
	}
}

// leafRows takes a leaf page apart; the rows are part of it.
func leafRows(p []byte, id uint64) ([]pair, error) {
	count := int(native.Uint16(p[10:]))
	if pageHeader+count*pageElement > len(p) {
		return nil, fmt.Errorf("page %d has too many elements", id)
	}
	out := make([]pair, count)
	for i := range out {
		el := pageHeader + i*pageElement
		key, value, ok := part(p, el, native.Uint32(p[el+4:]), native.Uint32(p[el+8:]), native.Uint32(p[el+12:]))
		if !ok || len(key) == 0 || native.Uint32(p[el:]) != 0 || i > 0 && bytes.Compare(out[i-1].key, key) >= 0 {
			return nil, fmt.Errorf("page %d has a damaged element", id)
		}
		out[i] = pair{slices.Clip(key), slices.Clip(value)}
	}
	return out, nil
}
