/*
 * doctor.h - what a machine offers, and what stands in the way of a study.
 */
#ifndef ORCHESTRATOR_DOCTOR_H
#define ORCHESTRATOR_DOCTOR_H

#include "orchestrator/doctor_facts.h"
#include "orchestrator/doctor_list.h"
#include "orchestrator/run_plan.h"

/* What is known of the machine alone: nothing of it is a problem yet. */
void doctor_machine(struct doctor_list *list, const struct doctor_facts *facts);

/* A planned study against the machine. The devices of the experiment must be
 * among the measured ones. Each problem names its remedy. */
void doctor_study(struct doctor_list *list, const struct doctor_facts *facts,
                  const struct run_plan *plan);

#endif
