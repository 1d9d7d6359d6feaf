#include "draft_worker/proposal_metrics.h"

#include "metrics/metric.h"

void proposal_metrics(const struct msg_propose *made)
{
    metric_add(METRIC_DRAFT_PROPOSALS, 1);
    metric_add(METRIC_DRAFT_PROPOSED, made->n_tokens);
    metric_add(METRIC_DRAFT_DRAFTED, made->n_draft_proposed);
    metric_add(METRIC_DRAFT_ACCEPTED, made->n_draft_accepted);
    metric_add(METRIC_DRAFT_MIDDLE_STEPS, made->n_middle_steps);
    metric_add(METRIC_DRAFT_DRAFT_TIME, made->draft_ns);
    metric_add(METRIC_DRAFT_MIDDLE_TIME, made->middle_ns);
}
