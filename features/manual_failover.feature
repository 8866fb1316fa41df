Feature: Failover by an operator
  Documents 001 and 004 without Patroni: nothing is detected, nobody is elected, and nothing keeps a primary that was lost
  from coming back as one. What the documents call "minutes" is the time of people, and comes on top of what is measured.

  @documented @manual
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
