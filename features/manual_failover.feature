Feature: Failover by an operator
  Documents 001 and 004 without Patroni: nothing is detected, nobody is elected, and nothing keeps a primary that was lost
  from coming back as one. What the documents call "minutes" is the time of people, and comes on top of what is measured.

  @quick @documented @manual
  @claim:A1-ASYNC-MANUAL @claim:PROMOTE-WAYS @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies, and an operator promotes an asynchronous standby
    Given the topology "async-manual"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And an operator promotes "node2" by pg_ctl promote
    And clients are pointed at "node2"
    And clients can write again
    And the standby "node3" is pointed at "node2"
    And an operator keeps PostgreSQL on "node1" from starting
    And the fault is healed
    And an operator rewinds "node1" from "node2"
    And every node has rejoined
    Then a node is promoted
    And never do two nodes accept writes

  # By the document's order: nobody thinks of the standby that is left until commits hang.
  @documented @manual @sync
  @claim:A2-SYNC-MANUAL @claim:RPO-0-SYNC @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies, and an operator promotes the synchronous standby
    Given the topology "sync-manual"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And an operator promotes "node2" by pg_ctl promote
    And clients are pointed at "node2"
    And 10 s to 11 s have passed
    And the standby "node3" is pointed at "node2"
    And clients can write again
    And an operator keeps PostgreSQL on "node1" from starting
    And the fault is healed
    And an operator rewinds "node1" from "node2"
    And every node has rejoined
    Then no acknowledged write is lost
    And never do two nodes accept writes

  # A machine that is gone says nothing, so the primary goes on waiting for it until wal_sender_timeout, 60 s.
  @documented @manual @sync
  @claim:NO-SPLIT-BRAIN
  Scenario: The synchronous standby's host dies, and another standby is named
    Given the topology "sync-manual"
    And 4 clients writing 25 rows per second each
    When the host of the synchronous standby dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then no acknowledged write is lost
    And the primary stays

  # What document 001 has an operator do when no synchronous standby is left.
  @documented @manual @sync
  @claim:NO-SPLIT-BRAIN
  Scenario: Every synchronous standby is lost, and an operator goes on without
    Given the topology "sync-manual"
    And 4 clients writing 25 rows per second each
    When node2 and node3 lose power
    And 10 s to 11 s have passed
    And an operator sets the parameter "synchronous_standby_names" to "" on "node1"
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then no acknowledged write is lost
    And the primary stays

  @documented @manual
  @claim:PROMOTE-WAYS @claim:NO-SPLIT-BRAIN
  Scenario: PostgreSQL on the primary dies, and a standby is promoted by an SQL function
    Given the topology "async-manual"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And an operator promotes "node2" by pg_promote()
    And clients are pointed at "node2"
    And clients can write again
    And the standby "node3" is pointed at "node2"
    And an operator rewinds "node1" from "node2"
    And the fault is healed
    And every node has rejoined
    Then a node is promoted
    And never do two nodes accept writes

  # Document 004's second way, as it is written: PostgreSQL 16 removed promote_trigger_file.
  @documented @manual
  @claim:PROMOTE-WAYS
  Scenario: A trigger file is touched to promote a standby
    Given the topology "async-manual"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And an operator promotes "node2" by a trigger file
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then a node is promoted

  # Document 001's second way, as it is written: the file is there already, and says to stay a standby.
  @documented @manual
  @claim:PROMOTE-WAYS
  Scenario: The file standby.signal is touched to promote a standby
    Given the topology "async-manual"
    And 4 clients writing 25 rows per second each
    When PostgreSQL on the primary is killed
    And an operator promotes "node2" by touching standby.signal
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then a node is promoted

  # Nothing fences the old primary: its machine boots, its PostgreSQL serves whoever still knows it, and the standby that
  # nobody has pointed elsewhere follows it away from the new primary. pg_rewind can't take that one back: it lacks the WAL
  # from before it was made.
  @documented @manual
  @claim:NO-SPLIT-BRAIN
  Scenario: The old primary comes back by itself
    Given the topology "async-manual"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And an operator promotes "node2" by pg_ctl promote
    And clients are pointed at "node2"
    And clients can write again
    And the fault is healed
    And 5 s to 6 s have passed
    And an operator rewinds "node1" from "node2"
    And an operator rebuilds "node3" from "node2"
    And every node has rejoined
    Then never do two nodes accept writes

  # The standby that is named first takes 500 ms longer for a round trip, the second does not. A comment in document 004
  # has FIRST wait for "the first to respond": then commits would go on as fast as before.
  @documented @manual @sync
  @claim:FIRST-ANY
  Scenario: FIRST waits for the standby that is named first, though another one is faster
    Given the topology "sync-manual"
    And the links between the nodes are shaped
    And 4 clients writing 25 rows per second each
    When a round trip from node2 to node1 takes 500 ms longer
    And 10 s to 11 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then clients can't write for between 400 ms and 5 s
    And commits wait for the standbys that synchronous_standby_names asks for

  @documented @manual @sync
  @claim:FIRST-ANY
  Scenario: ANY waits for the standby that answers first
    Given the topology "sync-manual"
    And the PostgreSQL parameter "synchronous_standby_names" is "ANY 1 (node2, node3)"
    And the links between the nodes are shaped
    And 4 clients writing 25 rows per second each
    When a round trip from node2 to node1 takes 500 ms longer
    And 10 s to 11 s have passed
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then no client waits longer than 400 ms for a write
    And commits wait for the standbys that synchronous_standby_names asks for
