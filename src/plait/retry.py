"""Retry policies, and the conditions, waits and stops that they are made of."""

from plait._kernel.retry.conditions import retry_all as retry_all
from plait._kernel.retry.conditions import retry_always as retry_always
from plait._kernel.retry.conditions import retry_any as retry_any
from plait._kernel.retry.conditions import retry_if_exception as retry_if_exception
from plait._kernel.retry.conditions import (
    retry_if_exception_cause_type as retry_if_exception_cause_type,
)
from plait._kernel.retry.conditions import retry_if_exception_message as retry_if_exception_message
from plait._kernel.retry.conditions import retry_if_exception_type as retry_if_exception_type
from plait._kernel.retry.conditions import (
    retry_if_not_exception_message as retry_if_not_exception_message,
)
from plait._kernel.retry.conditions import (
    retry_if_not_exception_type as retry_if_not_exception_type,
)
from plait._kernel.retry.conditions import retry_never as retry_never
from plait._kernel.retry.conditions import (
    retry_unless_exception_type as retry_unless_exception_type,
)
from plait._kernel.retry.policy import ConstantDelayRetryPolicy as ConstantDelayRetryPolicy
from plait._kernel.retry.policy import (
    ExponentialBackoffRetryPolicy as ExponentialBackoffRetryPolicy,
)
from plait._kernel.retry.policy import RetryInfo as RetryInfo
from plait._kernel.retry.policy import RetryPolicy as RetryPolicy
from plait._kernel.retry.policy import retry_policy as retry_policy
from plait._kernel.retry.stops import stop_after_attempt as stop_after_attempt
from plait._kernel.retry.stops import stop_after_delay as stop_after_delay
from plait._kernel.retry.stops import stop_all as stop_all
from plait._kernel.retry.stops import stop_any as stop_any
from plait._kernel.retry.stops import stop_before_delay as stop_before_delay
from plait._kernel.retry.stops import stop_never as stop_never
from plait._kernel.retry.waits import wait_chain as wait_chain
from plait._kernel.retry.waits import wait_combine as wait_combine
from plait._kernel.retry.waits import wait_exponential as wait_exponential
from plait._kernel.retry.waits import wait_exponential_jitter as wait_exponential_jitter
from plait._kernel.retry.waits import wait_fixed as wait_fixed
from plait._kernel.retry.waits import wait_full_jitter as wait_full_jitter
from plait._kernel.retry.waits import wait_incrementing as wait_incrementing
from plait._kernel.retry.waits import wait_none as wait_none
from plait._kernel.retry.waits import wait_random as wait_random
from plait._kernel.retry.waits import wait_random_exponential as wait_random_exponential
