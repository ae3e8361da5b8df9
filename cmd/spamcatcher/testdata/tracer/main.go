// Command tracer turns a running process into a sequence of system calls, counted over all its threads, and kills it at
// one of them:
//
//	tracer PID K     kills PID with SIGKILL as it enters the K'th call; with K = 0 never
//
// Only calls that change something outside the process's memory count: files, directories, sockets, pipes. It prints
// "attached" when the count begins, then one line for each call, "killed" at the end. strace's inject would count for each thread
// alone, and Go moves a message's calls from thread to thread.
package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// counted are the calls that count, and whether their first argument is a descriptor.
var counted = map[uint64]struct {
	name       string
	descriptor bool
}{
	unix.SYS_READ: {"read", true}, unix.SYS_RECVFROM: {"recvfrom", true}, unix.SYS_ACCEPT4: {"accept4", true},
	unix.SYS_WRITE: {"write", true}, unix.SYS_WRITEV: {"writev", true}, unix.SYS_SENDTO: {"sendto", true}, unix.SYS_SENDMSG: {"sendmsg", true},
	unix.SYS_PWRITE64: {"pwrite64", true}, unix.SYS_PWRITEV: {"pwritev", true}, unix.SYS_PWRITEV2: {"pwritev2", true},
	unix.SYS_FSYNC: {"fsync", true}, unix.SYS_FDATASYNC: {"fdatasync", true}, unix.SYS_SYNC_FILE_RANGE: {"sync_file_range", true},
	unix.SYS_FTRUNCATE: {"ftruncate", true}, unix.SYS_FALLOCATE: {"fallocate", true}, unix.SYS_CONNECT: {"connect", true}, unix.SYS_SHUTDOWN: {"shutdown", true},
	unix.SYS_CLOSE: {"close", true}, unix.SYS_MSYNC: {"msync", false}, unix.SYS_SOCKET: {"socket", false}, unix.SYS_OPENAT: {"openat", false},
	unix.SYS_RENAME: {"rename", false}, unix.SYS_RENAMEAT: {"renameat", false}, unix.SYS_RENAMEAT2: {"renameat2", false},
	unix.SYS_UNLINK: {"unlink", false}, unix.SYS_UNLINKAT: {"unlinkat", false}, unix.SYS_LINKAT: {"linkat", false},
	unix.SYS_MKDIRAT: {"mkdirat", false}, unix.SYS_TRUNCATE: {"truncate", false},
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: tracer PID K")
	}
	pid, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	k, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail("%v", err)
	}
	runtime.LockOSThread() // ptrace(2): all requests come from one thread
	trace(pid, k)
}

func fail(format string, args ...any) {
	fmt.Printf("failed: "+format+"\n", args...)
	os.Exit(1)
}

func trace(pid, k int) {
	// Threads that begin while we look are found on the next look.
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE
	known := map[int]bool{}
	for again := true; again; {
		again = false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			fail("%v", err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil || known[tid] {
				continue
			}
			known[tid], again = true, true
			// EPERM: it was cloned by one that is traced already. ESRCH: it has gone.
			if err := seize(tid, options); err != nil && err != unix.EPERM && err != unix.ESRCH {
				fail("attaching to thread %d: %v", tid, err)
			}
			if err := unix.PtraceInterrupt(tid); err != nil && err != unix.ESRCH && err != unix.EIO {
				fail("interrupting thread %d: %v", tid, err)
			}
		}
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "attached")
	out.Flush()
	inside := map[int]bool{}
	n := 0
	for {
		var status unix.WaitStatus
		tid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil { // ECHILD: all threads have gone
			return
		}
		if !status.Stopped() {
			delete(inside, tid)
			continue
		}
		deliver := 0
		switch sig := status.StopSignal(); {
		case sig == unix.SIGTRAP|0x80:
			if inside[tid] = !inside[tid]; !inside[tid] {
				break
			}
			var regs unix.PtraceRegs
			if unix.PtraceGetRegs(tid, &regs) != nil {
				break
			}
			text, yes := describe(pid, &regs)
			if !yes {
				break
			}
			n++
			fmt.Fprintf(out, "%d %s\n", n, text)
			out.Flush()
			if n == k {
				unix.Kill(pid, unix.SIGKILL)
				fmt.Fprintln(out, "killed")
				out.Flush()
				return
			}
		case status>>16 != 0: // an event: a new thread, a stop of ours
		default:
			deliver = int(sig)
		}
		unix.PtraceSyscall(tid, deliver)
	}
}

func seize(tid, options int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, uintptr(options), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// describe returns what a call does to what, and whether it counts.
func describe(pid int, regs *unix.PtraceRegs) (string, bool) {
	call, yes := counted[regs.Orig_rax]
	if !yes {
		return "", false
	}
	if !call.descriptor {
		return call.name, true
	}
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, int32(regs.Rdi)))
	if err != nil || strings.HasPrefix(to, "anon_inode:") {
		return "", false // the run-time's own
	}
	if regs.Orig_rax == unix.SYS_READ && !strings.HasPrefix(to, "socket:") {
		return "", false // takes nothing away
	}
	if strings.HasPrefix(to, "/proc/") || strings.HasPrefix(to, "/sys/") {
		return "", false
	}
	kind, _, _ := strings.Cut(filepath.Base(to), ":")
	return call.name + " " + kind, true
}
