// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Offers} from "../src/Offers.sol";
import {Reading} from "../src/Records.sol";
import {OffersBase} from "./OffersBase.sol";

/// What a trade costs, each step a transaction of its own. The figures appear with `-vv`.
/// forge-config: default.isolate = true
contract OffersGasTest is OffersBase {
    event log_named_uint(string what, uint256 gas);

    /// Nobody traded before: every word of storage is new but the buyer's money and consent.
    function test_gas_of_a_trade() public {
        Offers.Offer memory o = offer(3000, 200_000);
        mint(account(BUYER), 2 * offers.paymentOf(o.wh, o.price));
        vm.prank(account(BUYER));
        token.approve(address(offers), type(uint256).max);
        Reading memory r = reading(2999);
        bytes memory signed = signature(meterKey(SELLER), digestOf(r));

        vm.prank(account(SELLER));
        offers.post(o);
        uint256 total = noted("post");
        vm.prank(account(BUYER));
        offers.buy(o, 200_000);
        total += noted("buy");
        vm.warp(END);
        vm.prank(account(SELLER));
        offers.release(o, r, signed);
        total += noted("release");
        emit log_named_uint("post + buy + release", total);
        vm.assertTrue(total <= 220_000);
        vm.prank(account(SELLER));
        offers.fetch(list(o));
        noted("fetch");
    }

    function noted(string memory what) private returns (uint256 gas) {
        gas = vm.lastCallGas().total;
        emit log_named_uint(what, gas);
    }
}
