#include "verify_worker/trial_metrics.h"

#include "metrics/metric.h"

void trial_metrics_round(struct trial_metrics *seen, const struct msg_result *now)
{
    if (!metric_is_on)
        return;
    metric_add(METRIC_VERIFY_ROUNDS, now->rounds - seen->rounds);
    metric_add(METRIC_VERIFY_TOKENS, now->n_tokens - seen->n_tokens);
    metric_add(METRIC_VERIFY_PROPOSED, now->proposed - seen->proposed);
    metric_add(METRIC_VERIFY_ACCEPTED, now->accepted - seen->accepted);
    metric_add_seconds(METRIC_VERIFY_PASS_TIME, now->verify_s - seen->verify_s);
    *seen = (struct trial_metrics){now->rounds, now->n_tokens, now->proposed, now->accepted,
                                   now->verify_s};
}

void trial_metrics_end(const struct msg_result *result)
{
    metric_add(METRIC_VERIFY_LINK_BYTES, result->link_bytes);
    metric_add_seconds(METRIC_VERIFY_LINK_STALL, result->link_wait_s);
    metric_add(METRIC_VERIFY_TRIALS, 1);
}
