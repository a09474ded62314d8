//go:build !wasip1

package lantern

import (
	"fmt"
	"os"
)

// Natively there is no host, and a test wants to see what was logged.
func write(level uint32, message string) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", [...]string{"error", "warn", "info", "debug"}[level], message)
}
