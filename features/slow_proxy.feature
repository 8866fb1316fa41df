Feature: The proxy believes in a dead server
  HAProxy takes a server out after `fall` checks that failed. A dead host answers none of them, so each waits for its
  timeout too: the standby leads long before the proxy sends anyone there.

  @claim:RTO-30 @claim:NO-SPLIT-BRAIN
  Scenario: The primary's host dies behind a proxy that asks 30 times
    Given the topology "haproxy-fall-30"
    And 4 clients writing 25 rows per second each
    When the host of the primary dies
    And clients can write again
    And the fault is healed
    And every node has rejoined
    Then clients can't write for at most 30 s
    And at most 5 s of acknowledged writes are lost
    And never do two nodes accept writes
