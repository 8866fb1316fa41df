Feature: Two balancers on one host
  One HAProxy leads clients that write, another one those that read. They share a host, and nothing else.

  @quick
  Scenario: The balancer for reads dies, and writes go on
    Given the topology "two-balancers"
    And 4 clients writing 25 rows per second each
    When the service "haproxy" on the haproxy reads dies
    And 5 s to 6 s have passed
    And the fault is healed
    And clients can write again
    Then no acknowledged write is lost
    And never do two nodes accept writes
