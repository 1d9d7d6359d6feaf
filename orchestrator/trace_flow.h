/*
 * trace_flow.h - which event of receiving belongs to which event of sending.
 */
#ifndef ORCHESTRATOR_TRACE_FLOW_H
#define ORCHESTRATOR_TRACE_FLOW_H

#include "orchestrator/trace_folder.h"

/* Fills `flow` of every source: 0, or a number from 1 on that exactly one send
 * and one receipt have, of one value and verb, the send first. Of several with one
 * value the first receipt belongs to the first send. An end that is missing (its
 * process was killed, or its file full) leaves the other without a number. The
 * answer is how many pairs there are. */
uint32_t trace_flow_find(struct trace_set *set);

#endif
