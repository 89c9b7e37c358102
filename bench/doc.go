// Package bench measures a node over HTTP, beside the least that could do the same work, in one run. It has its own
// go.mod, so that what it measures against is no dependency of the product.
//
// Figures are ratios of two sub-benchmarks of one run; machines differ, and the two share this one:
//
//	go test -bench . -count 6 | tee new.txt && go tool benchstat -col /server new.txt
package bench
