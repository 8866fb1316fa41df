Feature: PostgreSQL crashes and its agent lives
  Patroni starts a PostgreSQL that has died again in place, for as long as primary_start_timeout allows (300 s, unless it
  is set). With 0 it gives the leader key away at once, and a standby takes over.

  # The other side is in primary_loss.feature: with the default, PostgreSQL is restarted in place.
  @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN @claim:RECOVER-REWIND
  Scenario: PostgreSQL dies alone and a standby is to take over at once
    Given the topology "single-region"
    And the Patroni setting "primary_start_timeout" is "0"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And another node has taken over
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

  # One of PostgreSQL's own processes: the postmaster ends all others and recovers, and the leader key stays.
  @documented
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: A WAL sender of the primary is killed
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When a WAL sender on the primary is killed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes
    And the node that was lost follows the new primary within 60 s

  # A PostgreSQL that dies while it is being started fails for Patroni, which then gives the leader key up: a standby took
  # over after 8.9 s, long before primary_start_timeout (300 s).
  @documented
  @claim:RTO-30 @claim:RPO-5-ASYNC @claim:NO-SPLIT-BRAIN
  Scenario: PostgreSQL on the primary crashes again and again
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary crashes again and again
    And 50 s to 60 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes

  # Pages all over a table have changed since the last checkpoint: recovery has to read and change each of them before PostgreSQL takes
  # sessions again. The restart phase says how long.
  @clients
  @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: PostgreSQL dies alone with much to recover
    Given the topology "single-region"
    And the PostgreSQL parameter "checkpoint_timeout" is "30min"
    And the PostgreSQL parameter "max_wal_size" is "8GB"
    And 4 clients writing 25 rows per second each, with 200 rows changed beside each row
    When 45 s to 46 s have passed
    And PostgreSQL on the primary is killed
    And clients can write again
    And every node has rejoined
    Then clients can't write for at most 30 s
    And no acknowledged write is lost
    And never do two nodes accept writes
