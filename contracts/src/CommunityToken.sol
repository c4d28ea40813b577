// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

import {Community, WrongNonce} from "./Community.sol";
import {Operated} from "./Operated.sol";
import {MINT_TYPEHASH, Mint} from "./Records.sol";

/// @title Money of a community
/// @notice A claim on the community's account outside the chain: one token is one unit of its currency, one base unit
/// one micro-unit. A quorum of operators mints what was paid in outside; whoever is paid out outside burns. Holders may
/// approve by signature (ERC-2612). The domain of all signatures is named "Commonwatt", as in the other contracts,
/// since a token's own name may be longer than a domain's can be.
contract CommunityToken is ERC20Permit, Operated {
    /// @notice How many records of issue were used: the nonce of the next one.
    uint64 public mints;

    constructor(Community community_, string memory name_, string memory symbol_)
        ERC20(name_, symbol_)
        ERC20Permit("Commonwatt")
        Operated(community_)
    {}

    /// @notice Base units are millionths, as everywhere in the market's arithmetic.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Issues tokens for money that was paid in outside. Anybody may bring what the operators signed.
    /// @param issue holder, base units (millionths of the currency), and `mints` as the nonce
    /// @param signatures of at least `threshold` operators over the record, ascending by signer
    function mint(Mint calldata issue, bytes[] calldata signatures) external {
        require(issue.nonce == mints, WrongNonce(issue.nonce, mints));
        community.requireQuorum(_hashTypedDataV4(keccak256(abi.encode(MINT_TYPEHASH, issue))), signatures);
        mints = issue.nonce + 1;
        _mint(issue.to, issue.amount);
    }

    /// @notice Destroys the caller's tokens, against money that is paid out outside.
    /// @param amount base units (millionths of the currency)
    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }
}
