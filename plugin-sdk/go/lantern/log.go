package lantern

import "fmt"

// A level of the plugin's log, as the contract counts them.
const (
	levelError uint32 = iota
	levelWarn
	levelInfo
	levelDebug
)

// Errorf writes to the plugin's log, which never reaches the read model: something is wrong.
func Errorf(format string, args ...any) { write(levelError, fmt.Sprintf(format, args...)) }

// Warnf writes to the plugin's log: something may be wrong.
func Warnf(format string, args ...any) { write(levelWarn, fmt.Sprintf(format, args...)) }

// Infof writes to the plugin's log: something happened that its reader wants to know.
func Infof(format string, args ...any) { write(levelInfo, fmt.Sprintf(format, args...)) }

// Debugf writes to the plugin's log: something happened that helps to find a mistake.
func Debugf(format string, args ...any) { write(levelDebug, fmt.Sprintf(format, args...)) }
