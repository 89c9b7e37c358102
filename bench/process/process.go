// Package process runs servers as processes of their own and reads from /proc what they use: how much of the processor,
// how much memory that is theirs alone. There is no /proc outside of Linux, so these figures are to be had there only.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-edge/sluice/bench/load"
)

const (
	patience = time.Minute // for a server to come up or to end
	tick     = 10 * time.Millisecond
)

// Server is a running process that answers at Addr.
type Server struct {
	Addr  string
	Ready time.Duration // from its start to its first good answer

	cmd  *exec.Cmd
	log  tail
	done chan struct{}
	exit error
}

// FreeAddr returns a loopback address on which nobody listens at the moment.
func FreeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// Start starts a command and asks addr until the answer is 200. The process is killed when the context ends.
func Start(ctx context.Context, cmd *exec.Cmd, addr string, request []byte) (*Server, error) {
	s := &Server{Addr: addr, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.exit = cmd.Wait()
		close(s.done)
	}()
	for {
		_, err := load.One(addr, 200, request)
		if err == nil {
			s.Ready = time.Since(begun)
			return s, nil
		}
		if time.Since(begun) > patience {
			_ = s.Kill()
			return nil, fmt.Errorf("%s is not ready after %v: %w\n%s", cmd.Path, patience, err, &s.log)
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("%s ended before it was ready: %w\n%s", cmd.Path, s.exit, &s.log)
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), s.Kill())
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// Stop interrupts the process as Ctrl-C does, and waits for its end.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("%s does not end\n%s", s.cmd.Path, &s.log), s.Kill())
	}
	if s.exit != nil {
		return fmt.Errorf("%s: %w\n%s", s.cmd.Path, s.exit, &s.log)
	}
	return nil
}

// Kill ends the process with no chance to do anything about it.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.done
	return nil
}

// CPU is how much of the processors the process has used, in steps of 10 ms.
func (s *Server) CPU() (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name in brackets may hold spaces; what is behind it does not.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", s.cmd.Process.Pid, raw)
	}
	return sum(fields[11:13])
}

// Anonymous is how many bytes of memory are the process's own: not those of files that it has mapped, which the system
// takes back when it needs them.
func (s *Server) Anonymous() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no RssAnon", s.cmd.Process.Pid)
}

// Busy is how much of the processors everybody together has used since the machine started.
func Busy() (time.Duration, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	fields := bytes.Fields(line) // cpu, user, nice, system, idle, iowait, irq, softirq, …
	if len(fields) < 8 {
		return 0, fmt.Errorf("/proc/stat: %q", line)
	}
	used, err := sum(fields[1:4])
	more, err2 := sum(fields[6:8])
	return used + more, errors.Join(err, err2)
}

// Own is how much of the processors this process has used.
func Own() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func sum(ticks [][]byte) (time.Duration, error) {
	var total time.Duration
	for _, t := range ticks {
		n, err := strconv.ParseInt(string(t), 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// tail keeps the last of what a process says, for the error that it may turn out to explain.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if extra := len(t.text) - tailBytes; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
