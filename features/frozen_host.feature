Feature: A host that stands still and comes back
  A virtual machine that its hypervisor suspends neither dies nor notices: when it goes on, its PostgreSQL still takes
  itself for the primary, until its agent has asked the DCS. The documents promise that there are never two primaries.

  # The documented topology has no watchdog. How long two nodes accept writes depends on where the agent was in its loop
  # when it froze: 3.1 s and 137 acknowledged rows lost in one run, nothing in another. One run that fails refutes it.
  @documented
  @claim:NO-SPLIT-BRAIN @claim:RPO-5-ASYNC @claim:RECOVER-REWIND
  Scenario: The primary's host freezes until another node leads
    Given the topology "single-region"
    And 4 clients writing 25 rows per second each
    When the host of the primary freezes
    And another node has taken over
    And the fault is healed
    And clients can write again
    And every node has rejoined
    Then never do two nodes accept writes
    And at most 5 s of acknowledged writes are lost
