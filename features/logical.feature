@logical
Feature: Logical replication
  A server outside the cluster subscribes to the ledger. The documents (001, 004) show how a subscription is made, and that it
  copies neither DDL nor sequences; of a failover of its publisher they say nothing. It needs its slot on the new primary, and a
  connection that finds that one.

  @quick
  @claim:LOGICAL
  Scenario: A column is added and a sequence used at the publisher
    Given the topology "logical"
    And 4 clients writing 25 rows per second each
    When an operator draws 100 numbers from the sequence beside "reports"
    And an operator adds a column to the ledger that "reports" subscribes to
    And an operator adds the column at the subscriber of "reports", too
    And 2 s to 3 s have passed
    Then DDL is not copied
    And a sequence is not copied
    And the subscriber has every row
    And the subscription resumes within 30 s

  @claim:LOGICAL
  Scenario: The publisher's host dies, and standbys had copied the slot
    Given the topology "logical"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the subscriber has every row
    And the subscription resumes within 60 s

  # To the nodes themselves, as libpq finds the primary. By HAProxy see below.
  @claim:LOGICAL
  Scenario: The publisher hands over, and standbys had copied the slot
    Given the topology "logical"
    And the subscription "reports" connects by "nodes"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    Then the subscriber has every row
    And the subscription resumes within 30 s
    And never do two nodes accept writes

  @claim:LOGICAL
  Scenario: The publisher's host dies, and Patroni's standbys had copied the slot
    Given the topology "logical"
    And the slot of the subscription "reports" is "permanent"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the subscriber has every row
    And the subscription resumes within 60 s

  # The old primary's own slot stops the copying there. Patroni drops it, and PostgreSQL begins anew ten seconds later: until then
  # nobody else has the slot.
  @control:logical
  Scenario: The publisher hands over, and back before the slot is copied again
    Given the topology "logical"
    And the subscription "reports" connects by "nodes"
    And 4 clients writing 25 rows per second each
    When an operator switches over
    And clients can write again
    And every node has rejoined
    And 4 s to 5 s have passed
    And an operator switches over
    And clients can write again
    And every node has rejoined
    Then the subscriber has every row

  # As the documents write it: the slot was on the old primary alone, and nobody has it now.
  @documented @control:logical
  @claim:LOGICAL
  Scenario: The publisher's host dies, and nobody had copied the slot
    Given the topology "logical"
    And the slot of the subscription "reports" is "plain"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then the subscriber has every row

  # The operator's way out that gives no error: what was written between is never sent.
  @control:logical
  Scenario: An operator makes a slot anew that nobody had copied
    Given the topology "logical"
    And the slot of the subscription "reports" is "plain"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And an operator makes the slot of the subscription "reports" anew
    And the fault is healed
    And every node has rejoined
    Then every command of the operator succeeds
    And the subscriber has every row
