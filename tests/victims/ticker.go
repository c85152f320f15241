// A Go program with a clock of its own: see tests/harness/victim.h.
// Go finds the vDSO by itself and calls it on its own stacks.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

var progress, backwards int64

// watch reads the clock; the monotonic half of a time.Time must not go back.
func watch() {
	last := time.Now()
	for {
		now := time.Now()
		if now.Sub(last) < 0 {
			atomic.AddInt64(&backwards, 1)
		}
		last = now
		if atomic.AddInt64(&progress, 1)%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func main() {
	for i := 0; i < 4; i++ {
		go watch()
	}
	for atomic.LoadInt64(&progress) < 4000 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "quit":
			return
		case "now":
			fmt.Println(time.Now().UnixNano())
		case "check":
			if n := atomic.LoadInt64(&backwards); n > 0 {
				fmt.Printf("bad %d steps back\n", n)
			} else {
				fmt.Printf("ok %d\n", atomic.LoadInt64(&progress))
			}
		default:
			fmt.Println("bad command")
		}
	}
}
