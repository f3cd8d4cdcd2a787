// The command line, the listener, and the client that runs all cases: main.go and the file of one library, which has `answer` and `echo`.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	largest   = 64 << 20
	atATime   = 8
	caseLimit = 120 * time.Second
)

func main() {
	if os.Args[1] == "server" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("listening on ws://%s\n", listener.Addr())
		log.Fatal(http.Serve(listener, http.HandlerFunc(answer)))
	}
	url, agent := os.Args[2], os.Args[3]
	count, err := strconv.Atoi(inTime(url + "/getCaseCount"))
	if err != nil {
		log.Fatal(err)
	}
	var next int64
	var all sync.WaitGroup
	for i := 0; i < atATime; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				number := atomic.AddInt64(&next, 1)
				if number > int64(count) {
					return
				}
				inTime(fmt.Sprintf("%s/runCase?case=%d&agent=%s", url, number, agent))
			}
		}()
	}
	all.Wait()
	inTime(fmt.Sprintf("%s/updateReports?agent=%s", url, agent))
}

// Echoes, and returns the first message; late, it goes on without.
func inTime(url string) string {
	first := make(chan string, 1)
	go func() {
		message, err := echo(url)
		if err != nil {
			log.Printf("%s: %v", url, err)
		}
		first <- message
	}()
	select {
	case message := <-first:
		return message
	case <-time.After(caseLimit):
		log.Printf("%s: not done in time", url)
		return ""
	}
}
