"""The tests of `test_commit_callbacks` with real commits: proof that `tests.support.commits` imitates them."""

from __future__ import annotations

import pytest

from tests.db.test_commit_callbacks import (  # noqa: F401 - pytest collects them here too
    calls,
    test_another_thread_has_its_own_transactions,
    test_callback_outside_a_transaction_runs_at_once,
    test_callback_registered_by_a_callback_runs_before_the_next_one,
    test_callback_runs_at_the_end_of_the_outermost_block,
    test_callback_runs_for_each_way_to_name_the_database,
    test_callback_sees_the_rows_and_no_open_transaction,
    test_caught_error_in_a_block_without_savepoint_rolls_all_back,
    test_code_outside_a_block_has_no_transaction,
    test_deferred_constraint_is_checked_by_the_commit,
    test_durable_block_must_be_the_outermost,
    test_exception_undoes_rows_and_drops_callbacks,
    test_failed_callback_keeps_the_rows_and_prevents_the_next,
    test_failed_robust_callback_is_logged,
    test_inner_rollback_drops_only_its_callbacks,
    test_large_result_is_read_across_transactions,
    test_rows_do_not_reach_the_next_test,
    test_set_rollback_undoes_rows_and_drops_callbacks,
    test_temporary_table_ends_with_its_transaction,
    test_transaction_counts_as_begin_and_commit,
)

pytestmark = pytest.mark.django_db(transaction=True)
