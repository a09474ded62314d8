package main

import "time"

// What a book costs for each day that it is late.
const centsPerDay = 20

// daysLate is how many days a book is late. A day that has begun counts.
func daysLate(due, returned time.Time) int64 {
	const day = 24 * time.Hour
	if !returned.After(due) {
		return 0
	}
	return int64((returned.Sub(due) + day - 1) / day)
}
